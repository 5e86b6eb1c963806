#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that a verb of the Makefile needs, if they are not there yet.
# usage: packages.sh build|run|test|lint
set -eu
build="gcc meson ninja-build pkg-config libuv1-dev libssl-dev libjansson-dev libfyaml-dev zlib1g-dev liblz4-dev libzstd-dev libsnappy-dev libarchive-dev libmnl-dev"
case $1 in
build) wanted=$build ;;
run) wanted="$build python3 kcat" ;;
lint) wanted="$build clang clang-format clang-tidy libclang-rt-14-dev" ;;
test) wanted="$build python3 python3-venv python3-kafka python3-lz4 python3-snappy python3-zstandard runc busybox-static kcat librdkafka-dev openssl curl unzip" ;;
*) echo "usage: $0 build|run|test|lint" >&2; exit 2 ;;
esac
if [ "$1" = test ]; then # runtimes that may have come from elsewhere
    command -v npm > /dev/null || wanted="$wanted npm"
    command -v java > /dev/null || wanted="$wanted default-jdk-headless"
    command -v mvn > /dev/null || wanted="$wanted maven"
fi
missing=
for package in $wanted; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
command -v apt-get > /dev/null || { echo "Please install:$missing" >&2; exit 1; }
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "Installing Debian packages:$missing"
log=$(mktemp)
if ! { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing; } > "$log" 2>&1; then
    tail -20 "$log" >&2
    exit 1
fi
rm -f "$log"
