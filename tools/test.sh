#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the test programs of a build folder and adds up what they count.
# usage: test.sh BUILD PART...    parts: unit corpus contract sim sim-explore [SEED] e2e
set -u
build=$1
shift
passed=0 failed=0 running=
# Ctrl-C reaches this shell alone: timeout(1) makes a process group of its own, which it ends when it is told to end.
trap '[ -z "$running" ] || kill "$running" 2> /dev/null; exit 130' INT TERM

# Runs a command, shows its output when it fails, and adds its closing line "N passed, N failed".
count() {
    local name=$1 output result
    shift
    output=$(mktemp)
    printf '%-28s ' "$name" # now: some take minutes
    "$@" > "$output" 2>&1 < /dev/null &
    running=$!
    wait "$running"
    local status=$?
    running=
    result=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$output" | tail -n 1)
    local ok=0 bad=0
    [ -n "$result" ] && { ok=${result%% *}; bad=${result#*, }; bad=${bad%% *}; }
    [ $status -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    passed=$((passed + ok)) failed=$((failed + bad))
    if [ "$bad" -gt 0 ]; then
        echo "failed (exit code $status)"
        tail -n "${TAIL:-60}" "$output"
    else
        echo "$result"
    fi
    rm -f "$output"
}

root=$(cd "$(dirname "$0")/.." && pwd)
export EVOKE_SOURCE=$root
while [ $# -gt 0 ]; do
    part=$1
    shift
    case $part in
    unit) for program in "$build"/test_*; do [ -f "$program" ] && count "${program##*/}" timeout 300 "$program"; done ;;
    corpus) for program in "$build"/*_fuzz; do [ -f "$program" ] && count "${program##*/}" timeout 300 "$program" "$root/tests/corpus/${program##*/}"; done ;;
    contract) for program in "$build"/tests/contract/contract_*; do [ -f "$program" ] && count "${program##*/}" timeout 300 "$program"; done ;;
    sim)
        EVOKE_COMMIT=$(git -C "$root" rev-parse HEAD 2> /dev/null)
        export EVOKE_COMMIT
        for program in "$build"/tests/sim/sim_*; do [ -f "$program" ] && count "${program##*/}" timeout 900 "$program"; done ;;
    sim-explore)
        failed=0
        for program in "$build"/tests/sim/${SIM:-sim_*}; do
            [ -f "$program" ] || continue
            if [ $# -gt 0 ]; then "$program" --seed "$1" --trace; else "$program" --seconds 30; fi || failed=1
        done
        exit $failed ;;
    e2e)
        if "$root/tests/e2e/setup.sh" "$build"; then
            # Files side by side: their tests wait for clients most of the time. In their order, for the longest have few tests
            count e2e timeout 1200 "$build/e2e/venv/bin/python" -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder --maxfail=20 "$root/tests/e2e" --evoke "$build"
        else
            echo "--- the end-to-end tests could not be set up"
            failed=$((failed + 1))
        fi ;;
    *) echo "no such part: $part" >&2; exit 2 ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
