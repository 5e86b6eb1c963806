#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target with libFuzzer for FUZZ_SECONDS (60) each, from the committed corpus. A finding ends it.
# usage: fuzz.sh BUILD
set -eu
build=$1
[ -f "$build/build.ninja" ] || CC=clang meson setup "$build" -Dfuzzer=true -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false > /dev/null
ninja -C "$build" --quiet
for program in "$build"/*_fuzz; do
    [ -f "$program" ] || continue
    name=${program##*/}
    mkdir -p "$build/corpus/$name" "tests/corpus/$name"
    echo "$name"
    "$program" -max_total_time="${FUZZ_SECONDS:-60}" -print_final_stats=0 -verbosity=0 -artifact_prefix="$build/$name-" "$build/corpus/$name" "tests/corpus/$name"
done
