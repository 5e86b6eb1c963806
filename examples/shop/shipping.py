# SPDX-License-Identifier: Apache-2.0
"""order.billed -> order.shipped"""
import time

from events import serve


def ship(attributes, order):
    time.sleep(0.02)  # some work
    print(f"order {order['order']}: on its way", flush=True)
    return "order.shipped", {"order": order["order"], "parcel": f"P{order['order']:05}"}


serve(ship)
