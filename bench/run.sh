#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures evoke on this machine: the way of an event, the log beside Kafka and NATS, how a log of 100 GB opens. Run nothing
# else meanwhile. Each can be run alone; see README.md.
# usage: run.sh BUILD [SHARE]    SHARE of the records of the second table: 0.1 is a quick look
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/../tests/e2e/setup.sh" "$1"
"$here/peers/setup.sh" "$1"
if [ ! -x "$1/bench/bench_load" ]; then # librdkafka came after the build folder was set up
    meson setup --reconfigure "$1" > /dev/null
    ninja -C "$1" --quiet bench/bench_load
fi
"$1/e2e/venv/bin/python" "$here/bench.py" "$1"
"$1/e2e/venv/bin/python" "$here/log.py" "$@"
"$1/e2e/venv/bin/python" "$here/big_log.py" "$1"
