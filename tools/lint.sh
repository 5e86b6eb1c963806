#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Formatting, a build with clang's warnings as errors, clang-tidy (.clang-tidy). Ends with "N passed, N failed".
# usage: lint.sh BUILD
set -u
build=$1
passed=0 failed=0
check() {
    local name=$1 output began=$SECONDS
    shift
    output=$(mktemp)
    if "$@" > "$output" 2>&1; then
        passed=$((passed + 1))
        echo "$name: clean ($((SECONDS - began)) s)"
    else
        failed=$((failed + 1))
        echo "--- $name"
        sed -E -e 's/\x1b\[[0-9;]*[mK]//g' -e 's,^[^ ]*/\.\./,,' "$output" \
            | grep -v -E '^([^ ]*clang-tidy[^ ]* |Enabled checks|\[[0-9]+/[0-9]+\] |[0-9]+ warnings? )' | head -n 60
    fi
    rm -f "$output"
}
clang_build() {
    [ -f "$build-clang/build.ninja" ] || CC=clang meson setup "$build-clang" || return 1
    ninja -k 0 -C "$build-clang"
}
sources=$(git ls-files '*.c' '*.h')
check clang-format clang-format --dry-run -Werror $sources
check "clang's warnings" clang_build
check clang-tidy run-clang-tidy -quiet -j "$(nproc)" -p "$build-clang" "$PWD/(src|tests)/.*\.c$"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
