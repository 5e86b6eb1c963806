#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Publishes orders as any Kafka client would, all at once: a record a line, which is the whole CloudEvent as JSON. (The
# other way, attributes as record headers, is in README.md's tour.)
#     examples/shop/publish.sh [COUNT] [ITEM]       COUNT orders (1) of ITEM (tea, cup; broken cannot be billed)
# With kcat, or with `evoke publish` where there is none. KAFKA and EVOKE name the server and the program.
set -e
server=${KAFKA:-127.0.0.1:9092}
evoke=${EVOKE:-$(dirname "$0")/../../build/evoke}
count=${1:-1}
item=${2:-tea}
type=content-type=application/cloudevents+json

orders() {
    for number in $(seq "$count"); do
        echo "{\"specversion\": \"1.0\", \"id\": \"order-$$-$number\", \"source\": \"publish.sh\", \"type\": \"order.placed\"," \
            "\"data\": {\"order\": $number, \"item\": \"$item\", \"amount\": $((number % 3 + 1))}}"
    done
}

if command -v kcat > /dev/null; then
    orders | kcat -P -q -b "$server" -t shop.default -H $type
else
    orders | "$evoke" publish shop.default --quiet --brokers "$server" --header $type
fi
[ "$count" = 1 ] && plural= || plural=s
echo "$count order$plural of $item published"
