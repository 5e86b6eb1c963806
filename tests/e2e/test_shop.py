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
    records = map(json.loads, done.stdout.splitlines())
    return [record["headers"].get("ce_type") or json.loads(record["value"])["type"] for record in records]


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
    wait_until(lambda: replicas(shop)["billing"] > 1, what="there is more than one replica")
    wait_until(lambda: types(shop).count("order.shipped") == before + 50, timeout=60, what="all orders are shipped")
    wait_until(lambda: replicas(shop)["billing"] == 0 and replicas(shop)["shipping"] == 0, timeout=60, what="they sleep")
    assert types(shop).count("order.shipped") == before + 50
    pods = shop.kubectl("get", "pods", "-n", "shop", "-l", "app in (billing,shipping)", "-o", "name")
    wait_until(lambda: shop.kubectl("get", "pods", "-n", "shop", "-l", "app in (billing,shipping)", "-o", "name").stdout == "",
               what=f"the pods are gone: {pods.stdout}")


def test_the_group_of_a_trigger_is_its_own(shop):
    group, topic = "trigger.shop.billing", "shop.default"
    before = json.loads(shop.run("group", "describe", "-b", shop.kafka, "-o", "json", group).stdout)[0]
    assert before["state"] == "Stable" and [member["member"] for member in before["members"]] == ["dispatch"]
    assert [row["member"] for row in before["partitions"]] == ["dispatch"] * 10
    for words in (["delete", group], ["reset", group, "--topic", topic, "--to-earliest", "--execute"]):
        refused = shop.run("group", words[0], "-b", shop.kafka, *words[1:])
        assert refused.returncode == 4 and group in refused.stderr, refused.stderr
    refused = shop.run("consume", "-b", shop.kafka, "--group", group, topic)
    assert refused.returncode == 4 and "a running Trigger has it for itself" in refused.stderr, refused.stderr
    after = json.loads(shop.run("group", "describe", "-b", shop.kafka, "-o", "json", group).stdout)[0]
    assert after["partitions"] == before["partitions"]


def test_kafka_clients_see_the_group_of_a_trigger_as_a_running_consumer(shop):
    from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
    from confluent_kafka.admin import AdminClient
    group, admin = "trigger.shop.billing", AdminClient({"bootstrap.servers": shop.kafka})
    described = admin.describe_consumer_groups([group])[group].result(10)
    assert described.state == ConsumerGroupState.STABLE and not described.is_simple_consumer_group
    assert [member.member_id for member in described.members] == ["dispatch"]
    assigned = described.members[0].assignment.topic_partitions
    assert sorted((at.topic, at.partition) for at in assigned) == [("shop.default", i) for i in range(10)]
    with pytest.raises(KafkaException, match="NON_EMPTY_GROUP"):
        admin.delete_consumer_groups([group])[group].result(10)
    moved = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [TopicPartition("shop.default", 0, 0)])])
    result = moved[group].result(10)
    assert [at.error.name() for at in result.topic_partitions] == ["UNKNOWN_MEMBER_ID"]
