# SPDX-License-Identifier: Apache-2.0
"""The new rebalance protocol (KIP-848, group.protocol=consumer) with the clients that have it. Members speak every five
seconds, as in Kafka, so a partition that changes hands takes some."""
import json

import pytest

import kafka_clients
import manifests
from conftest import wait_until
from test_kafka_groups import PARTITIONS, create_topic, has_all, members, publish  # noqa: F401 (members is a fixture)

CLIENTS = ["confluent", "java"]
NEW = "group.protocol=consumer"
SLOW_S = 60


@pytest.mark.parametrize("client", CLIENTS)
def test_members_share_and_take_over_bit_by_bit(evoke, members, client):
    topic, group = f"new-shared-{client}", f"new-group-{client}"
    create_topic(evoke, topic)
    publish(evoke, topic, 40)
    first = members(client, topic, group, NEW)
    wait_until(lambda: len(first.got) == 40, SLOW_S, f"{client}: the first member reads all")
    assert first.assigned == list(range(PARTITIONS))
    second = members(client, topic, group, NEW)
    wait_until(lambda: has_all(first, second) and len(second.assigned) == PARTITIONS // 2, SLOW_S, f"{client}: both have half")
    assert [] not in first.history, "the first never gave up all"
    for partition in range(PARTITIONS):
        publish(evoke, topic, 5, partition)
    wait_until(lambda: len(first.got) + len(second.got) == 60, SLOW_S, f"{client}: both read")
    first.end()
    wait_until(lambda: second.assigned == list(range(PARTITIONS)), SLOW_S, f"{client}: the second takes over")
    publish(evoke, topic, 8)
    wait_until(lambda: len(set(first.got + second.got)) == 68, SLOW_S, f"{client}: the second reads on")


@pytest.mark.parametrize("client", CLIENTS)
def test_an_expression_follows_new_topics(evoke, members, client):
    prefix = f"new-regex-{client}"
    create_topic(evoke, f"{prefix}-1")
    member = members(client, f"^{prefix}-[0-9]+", prefix, NEW)
    publish(evoke, f"{prefix}-1", 10)
    wait_until(lambda: len(member.got) == 10, SLOW_S, f"{client}: the first topic is read")
    create_topic(evoke, f"{prefix}-2")
    create_topic(evoke, f"{prefix}-other")
    publish(evoke, f"{prefix}-2", 10)
    publish(evoke, f"{prefix}-other", 10)
    wait_until(lambda: len(member.got) == 20, SLOW_S, f"{client}: the second topic is read")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_static_member_finds_its_partitions_again(evoke, members, client):
    topic = group = f"new-static-{client}"
    create_topic(evoke, topic)
    first, second = (members(client, topic, group, NEW, f"group.instance.id={i}") for i in "ab")
    wait_until(lambda: has_all(first, second) and first.assigned and second.assigned, SLOW_S, f"{client}: both have partitions")
    moves, before = len(second.history), first.assigned
    first.end()
    again = members(client, topic, group, NEW, "group.instance.id=a")
    wait_until(lambda: again.assigned == before, SLOW_S, f"{client}: it has them again")
    assert len(second.history) == moves, "the other one was not disturbed"


@pytest.mark.parametrize("client", CLIENTS)
def test_members_go_on_through_kill_9_of_evoke(evoke, members, client):
    topic = group = f"new-kill-{client}"
    create_topic(evoke, topic)
    first, second = (members(client, topic, group, NEW) for _ in range(2))
    wait_until(lambda: has_all(first, second) and first.assigned and second.assigned, SLOW_S, f"{client}: both have partitions")
    moves = len(first.history) + len(second.history)
    for round in range(3):
        publish(evoke, topic, 20)
        wait_until(lambda: len(set(first.got + second.got)) == 20 * (round + 1), SLOW_S, f"{client}: round {round} is read")
        evoke.kill()
        evoke.start()
    publish(evoke, topic, 20)
    wait_until(lambda: len(set(first.got + second.got)) == 80, SLOW_S, f"{client}: it reads on")
    assert len(first.history) + len(second.history) == moves, "a restart moves nothing"


def test_tools_see_the_group_and_its_offsets(evoke, members):
    from confluent_kafka import ConsumerGroupType, TopicPartition
    from confluent_kafka.admin import AdminClient
    create_topic(evoke, "new-seen")
    publish(evoke, "new-seen", 4)
    member = members("confluent", "new-seen", "new-seen", NEW)
    wait_until(lambda: len(member.got) == 4, SLOW_S, "all read")
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    listed = {g.group_id: g for g in admin.list_consumer_groups().result(10).valid}
    assert listed["new-seen"].type == ConsumerGroupType.CONSUMER
    described = wait_until(lambda: admin.describe_consumer_groups(["new-seen"])["new-seen"].result(10), what="described")
    assert described.type == ConsumerGroupType.CONSUMER and described.state.name == "STABLE"
    assert described.partition_assignor == "uniform"
    partitions = sorted(p.partition for p in described.members[0].assignment.topic_partitions)
    assert partitions == list(range(PARTITIONS))
    shown = json.loads(evoke.run("group", "describe", "-b", evoke.kafka, "-o", "json", "new-seen").stdout)[0]
    assert (shown["type"], shown["state"], len(shown["members"])) == ("consumer", "Stable", 1)
    assert {p["member"] for p in shown["partitions"]} == {shown["members"][0]["member"]}
    refused = evoke.run("group", "reset", "-b", evoke.kafka, "new-seen", "--all-topics", "--to-earliest")
    assert refused.returncode == 4 and "Stable with 1 members" in refused.stderr, refused.stderr
    with pytest.raises(Exception, match="not empty"):
        admin.delete_consumer_groups(["new-seen"])["new-seen"].result(10)
    member.end()
    wait_until(lambda: admin.describe_consumer_groups(["new-seen"])["new-seen"].result(10).state.name == "EMPTY", SLOW_S, "empty")
    # A member of the classic protocol takes the name over, and the offsets with it.
    publish(evoke, "new-seen", 3)
    classic = members("confluent", "new-seen", "new-seen")
    wait_until(lambda: len(classic.got) == 3, SLOW_S, "the classic member reads the new ones only")
    classic.end()
    admin.delete_consumer_groups(["new-seen"])["new-seen"].result(10)


def consumer_deployment(clients, evoke, name, topic, group):
    """Pods that are consumers of the new protocol, without a Service: nothing but lag calls them."""
    command = [*kafka_clients.command(clients, "confluent", "group"), "group", evoke.kafka, topic, group, NEW]
    pod = {"runtimeClassName": "process", "terminationGracePeriodSeconds": 20,
           "containers": [{"name": "consumer", "image": "process", "command": command}]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": {"app": name}}, "spec": pod}}}


def lag_scaler(name, topic, group):
    metadata = {"bootstrapServers": "127.0.0.1:9092", "consumerGroup": group, "topic": topic, "lagThreshold": "50",
                "offsetResetPolicy": "earliest"}
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name, "namespace": "default"},
            "spec": {"scaleTargetRef": {"name": name}, "minReplicaCount": 0, "maxReplicaCount": 3, "cooldownPeriod": 3,
                     "triggers": [{"type": "kafka", "metadata": metadata}]}}


def test_consumers_scale_from_zero_to_several_and_back(evoke, clients):
    from confluent_kafka import ConsumerGroupTopicPartitions
    from confluent_kafka.admin import AdminClient
    topic = group = name = "scaled-consumers"
    create_topic(evoke, topic)
    evoke.kubectl("apply", "-f", "-", stdin=manifests.text(
        consumer_deployment(clients, evoke, name, topic, group), lag_scaler(name, topic, group)))
    admin = AdminClient({"bootstrap.servers": evoke.kafka})

    def replicas():
        return int(evoke.kubectl("get", "deployment", name, "-o", "jsonpath={.spec.replicas}").stdout)

    def committed():
        listed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(10)
        return sum(max(p.offset, 0) for p in listed.topic_partitions)

    def group_members():
        return len(admin.describe_consumer_groups([group])[group].result(10).members)

    assert replicas() == 0
    for round in (1, 2):  # to several, to zero, and once more
        for partition in range(PARTITIONS):
            publish(evoke, topic, 500, partition)
        wait_until(lambda: replicas() > 1, SLOW_S, f"round {round}: it scales to several")
        wait_until(lambda: committed() == round * PARTITIONS * 500, SLOW_S, f"round {round}: all is read")
        wait_until(lambda: replicas() == 0, SLOW_S, f"round {round}: it scales to zero")
        wait_until(lambda: group_members() == 0, SLOW_S, f"round {round}: all have left")
