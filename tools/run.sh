#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The example shop, live: evoke in the foreground, and in the background a Kafka client that places a few orders once the
# shop is open: one, then a rush, then one that cannot be billed. After that everything goes back to sleep, and the
# shop is yours (examples/shop/README.md).
# usage: run.sh BUILD [FLAG...]    flags of `evoke up`, such as another address where one is taken
set -u
cd "$(dirname "$0")/.." || exit 1
build=$1
shift
[[ " $* " =~ \ --listen-kafka[\ =]([^ ]+) ]] && export KAFKA=${BASH_REMATCH[1]} EVOKE_BROKERS=${BASH_REMATCH[1]}
orders() {
    until "$build/evoke" group describe trigger.shop.shipping > /dev/null 2>&1; do sleep 0.2; done
    sleep 1
    for order in "1 tea" "25 cup" "1 broken"; do
        EVOKE=$build/evoke examples/shop/publish.sh $order
        sleep 4
    done
}
orders > /dev/null 2>&1 &
publisher=$!
trap 'kill $publisher 2> /dev/null' EXIT
trap : INT TERM # evoke ends by itself; then we do
"$build/evoke" up examples/shop --data "$build/shop-data" "$@"
