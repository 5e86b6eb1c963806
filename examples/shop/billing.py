# SPDX-License-Identifier: Apache-2.0
"""order.placed -> order.billed; nobody can bill what is broken."""
import time

from events import serve

PRICES = {"tea": 4, "cup": 9}


def bill(attributes, order):
    time.sleep(0.02)  # some work
    if order["item"] not in PRICES:
        raise ValueError(f"order {order['order']}: {order['item']} has no price")
    total = PRICES[order["item"]] * order["amount"]
    print(f"order {order['order']}: {order['amount']} {order['item']}, {total} euro", flush=True)
    return "order.billed", {**order, "total": total}


serve(bill)
