# SPDX-License-Identifier: Apache-2.0
"""The example of the first page: examples/shop as it is, from the first order to sleep."""
import json
import os
import pathlib
import subprocess

import pytest

from conftest import wait_until

SHOP = pathlib.Path(__file__).parents[2] / "examples" / "shop"


@pytest.fixture(scope="module")
def shop(evoke):
    evoke.kubectl("apply", "-f", SHOP)
    for trigger in ("billing", "shipping"):
        evoke.kubectl("wait", "-n", "shop", f"trigger/{trigger}", "--for=condition=Ready", "--timeout=20s")
    return evoke


def publish(evoke, *arguments):
    environment = {**os.environ, "KAFKA": evoke.kafka, "EVOKE": str(evoke.binary)}
    subprocess.run([SHOP / "publish.sh", *map(str, arguments)], check=True, env=environment, timeout=60)


def types(evoke):
    done = evoke.run("consume", "-b", evoke.kafka, "-o", "json", "shop.default")
    return [json.loads(line)["headers"]["ce_type"] for line in done.stdout.splitlines()]


def replicas(evoke):
    done = evoke.kubectl("get", "deployments", "-n", "shop", "-o", "json")
    return {item["metadata"]["name"]: item["spec"]["replicas"] for item in json.loads(done.stdout)["items"]}


def test_everything_sleeps_until_an_order_comes(shop):
    assert replicas(shop) == {"billing": 0, "shipping": 0, "deadletters": 0}
    publish(shop, 1)
    steps = ["order.billed", "order.placed", "order.shipped"]  # each may lie in a partition of its own
    wait_until(lambda: sorted(types(shop)) == steps, what="the order is shipped")
    assert replicas(shop)["deadletters"] == 0


def test_an_order_that_cannot_be_billed_is_a_dead_letter(shop):
    publish(shop, 1, "broken")

    def logged():
        return shop.kubectl("logs", "-n", "shop", "deployment/deadletters", check=False).stdout
    text = wait_until(logged, what="the dead letter is printed")
    assert "order.placed" in text and "500" in text and "broken" in text


def test_a_rush_is_handled_once_each_and_then_all_sleep(shop):
    before = types(shop).count("order.shipped")
    publish(shop, 50, "cup")
    wait_until(lambda: types(shop).count("order.shipped") == before + 50, timeout=60, what="all orders are shipped")
    wait_until(lambda: replicas(shop)["billing"] == 0 and replicas(shop)["shipping"] == 0, timeout=60, what="they sleep")
    assert types(shop).count("order.shipped") == before + 50
    pods = shop.kubectl("get", "pods", "-n", "shop", "-l", "app in (billing,shipping)", "-o", "name")
    wait_until(lambda: shop.kubectl("get", "pods", "-n", "shop", "-l", "app in (billing,shipping)", "-o", "name").stdout == "",
               what=f"the pods are gone: {pods.stdout}")
