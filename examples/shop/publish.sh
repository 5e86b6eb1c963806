#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Publishes orders as any Kafka client would: the CloudEvent's attributes are record headers, its data is the value.
#     examples/shop/publish.sh [COUNT] [ITEM]       COUNT orders (1) of ITEM (tea, cup; broken cannot be billed)
# With kcat, or with `evoke publish` where there is none. KAFKA and EVOKE name the server and the program.
set -e
server=${KAFKA:-127.0.0.1:9092}
evoke=${EVOKE:-$(dirname "$0")/../../build/evoke}

publish_one() { # NUMBER ITEM
    order="{\"order\": $1, \"item\": \"$2\", \"amount\": $(($1 % 3 + 1))}"
    set -- -H ce_specversion=1.0 -H "ce_id=order-$$-$1" -H ce_source=publish.sh -H ce_type=order.placed -H content-type=application/json
    if command -v kcat > /dev/null; then
        echo "$order" | kcat -P -q -b "$server" -t shop.default "$@"
    else
        "$evoke" publish shop.default --quiet --brokers "$server" "$@" "$order"
    fi
}

if [ "$1" = --one ]; then
    publish_one "$2" "$3"
else
    seq "${1:-1}" | xargs -P 8 -I{} "$0" --one {} "${2:-tea}" # eight at a time, so that many are a rush
    echo "${1:-1} orders of ${2:-tea} published"
fi
