#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds everything, or just the targets that are named, and says so if there is anything to do. On a terminal ninja shows
# how far it is.
# usage: build.sh BUILD [TARGET...]
set -eu
build=$1
shift
ninja -C "$build" -n "$@" | grep -q 'no work to do' && exit 0
quiet=--quiet
[ -t 1 ] && quiet=
echo "Building $build/evoke"
cd "$build" # -C would say so
exec ninja $quiet "$@"
