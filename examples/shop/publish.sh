#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Publishes orders as any Kafka client would: the CloudEvent's attributes are record headers, its data is the value.
#     examples/shop/publish.sh [COUNT] [ITEM]       COUNT orders (1) of ITEM (tea, cup; broken cannot be billed)
# With kcat, or with `evoke publish` where there is none. KAFKA and EVOKE name the server and the program.
count=${1:-1} item=${2:-tea} server=${KAFKA:-127.0.0.1:9092}
evoke=${EVOKE:-$(dirname "$0")/../../build/evoke}
first=$(date +%s)
i=0
while [ "$i" -lt "$count" ]; do
    order="{\"order\": $i, \"item\": \"$item\", \"amount\": $((i % 3 + 1))}"
    set -- ce_specversion=1.0 "ce_id=order-$first-$i" ce_source=publish.sh ce_type=order.placed content-type=application/json
    if command -v kcat > /dev/null; then
        echo "$order" | kcat -P -q -b "$server" -t shop.default -H "$1" -H "$2" -H "$3" -H "$4" -H "$5"
    else
        "$evoke" publish shop.default --brokers "$server" --header "$1" --header "$2" --header "$3" --header "$4" --header "$5" "$order"
    fi || exit 1
    i=$((i + 1))
done
echo "$count orders of $item published"
