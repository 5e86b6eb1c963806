#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures evoke on this machine and prints one table. Run nothing else meanwhile.
# usage: run.sh BUILD
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/../tests/e2e/setup.sh" "$1"
exec "$1/e2e/venv/bin/python" "$here/bench.py" "$1"
