# SPDX-License-Identifier: Apache-2.0
"""A fleet of consumers that rolls from the classic group protocol to the new one and back, one member at a time, while a
producer goes on (KIP-848, "Online Migration"): every record is worked on once and in order, no committed offset goes back,
and no partition is owned by two members at a time."""
import threading
import time

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, ConsumerGroupType, Producer
from confluent_kafka.admin import AdminClient

from conftest import wait_until
from test_kafka_groups import PARTITIONS, create_topic, has_all, members, publish  # noqa: F401 (members is a fixture)

NEW = "group.protocol=consumer"
SLOW_S = 240
COOPERATIVE = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"


class Producing:
    """Some records a second, to all partitions in turn, until it is stopped."""

    def __init__(self, evoke, topic):
        self.producer = Producer({"bootstrap.servers": evoke.kafka, "acks": "all", "enable.idempotence": True})
        self.topic = topic
        self.sent = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(0.02):
            self.producer.produce(self.topic, b"v", partition=self.sent % PARTITIONS)
            self.sent += 1
            self.producer.poll(0)

    def stop(self):
        self.stopping.set()
        self.thread.join()
        assert self.producer.flush(30) == 0
        return self.sent


class Committed:
    """Watches the group's offsets: they only grow."""

    def __init__(self, evoke, group):
        self.admin = AdminClient({"bootstrap.servers": evoke.kafka})
        self.group = group
        self.last = {}
        self.went_back = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def look(self):
        listed = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self.group)])[self.group].result(10)
        for p in listed.topic_partitions:
            if p.offset < self.last.get(p.partition, 0):
                self.went_back.append((p.partition, self.last[p.partition], p.offset))
            self.last[p.partition] = p.offset
        return sum(self.last.values())

    def run(self):
        while not self.stopping.wait(0.2):
            self.look()

    def stop(self):
        self.stopping.set()
        self.thread.join()


def group_type(evoke, group):
    """A client that has just been made may not know the broker yet, and lists nothing."""
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    return wait_until(lambda: {g.group_id: g.type for g in admin.list_consumer_groups().result(10).valid}.get(group), what=group)


def check_owned_by_one_at_a_time(fleet):
    """Of each partition: who has had it from when to when, as the members say; an end is always that of their own doing."""
    for partition in range(PARTITIONS):
        spans = []
        for number, member in enumerate(fleet):
            since = None
            for at, owned in [*member.owned, (float("inf"), set())]:
                if since is None and partition in owned:
                    since = at
                elif since is not None and partition not in owned:
                    spans.append((since, at, number))
                    since = None
        spans.sort()
        for (_, end, one), (begin, _, other) in zip(spans, spans[1:]):
            assert one == other or end <= begin, f"partition {partition}: member {one} until {end}, {other} from {begin}"


def check_worked_on_once_and_in_order(fleet, sent):
    for member in fleet:
        for partition in range(PARTITIONS):
            offsets = [o for p, o in member.got if p == partition]
            assert offsets == sorted(offsets), "in order"
    got = [record for member in fleet for record in member.got]
    assert len(set(got)) == sent, "every record"
    assert len(got) == sent, "each once"


def share(fleet):
    return has_all(*fleet) and all(m.assigned for m in fleet)


def roll(fleet, everyone, start):
    """Replaces the members, one at a time."""
    for number in range(len(fleet)):
        fleet[number].end()
        fleet[number] = start(number)
        everyone.append(fleet[number])
        wait_until(lambda: share(fleet), SLOW_S, f"all three share, after the change of {number}")


# librdkafka's cooperative-sticky puts data of its own into assignments: neither Kafka nor evoke migrates such a group.
@pytest.mark.parametrize("client, strategy", [("confluent", None), ("java", None), ("java", COOPERATIVE)])
def test_a_fleet_rolls_to_the_new_protocol_and_back(evoke, members, client, strategy):
    topic = group = f"roll-{client}-{'cooperative' if strategy else 'eager'}"
    classic = [f"partition.assignment.strategy={strategy}"] if strategy else []
    create_topic(evoke, topic)
    fleet = [members(client, topic, group, *classic) for _ in range(3)]
    everyone = list(fleet)
    wait_until(lambda: share(fleet), SLOW_S, "three classic members share")
    producing, committed = Producing(evoke, topic), Committed(evoke, group)
    try:
        roll(fleet, everyone, lambda _: members(client, topic, group, NEW))
        assert group_type(evoke, group) == ConsumerGroupType.CONSUMER
        roll(fleet, everyone, lambda _: members(client, topic, group, *classic))
        assert group_type(evoke, group) == ConsumerGroupType.CLASSIC
        time.sleep(1)
    finally:
        sent = producing.stop()
        committed.stop()
    wait_until(lambda: sum(len(m.got) for m in everyone) >= sent, 30, "all is read")
    wait_until(lambda: committed.look() == sent, 30, "all is committed")
    check_worked_on_once_and_in_order(everyone, sent)
    check_owned_by_one_at_a_time(everyone)
    assert committed.went_back == []


def test_static_members_roll_without_moving_a_partition(evoke, members):
    topic = group = "roll-static"
    create_topic(evoke, topic)
    classic = [f"partition.assignment.strategy={COOPERATIVE}", "session.timeout.ms=45000"]
    fleet = [members("java", topic, group, f"group.instance.id=i{i}", *classic) for i in range(3)]
    wait_until(lambda: share(fleet), SLOW_S, "three classic members share")
    before = [m.assigned for m in fleet]
    roll(fleet, [], lambda i: members("java", topic, group, f"group.instance.id=i{i}", NEW))
    assert [m.assigned for m in fleet] == before
    publish(evoke, topic, 40)
    wait_until(lambda: sum(len(m.got) for m in fleet) == 40, SLOW_S, "all is read")
    roll(fleet, [], lambda i: members("java", topic, group, f"group.instance.id=i{i}", *classic))
    assert group_type(evoke, group) == ConsumerGroupType.CLASSIC


@pytest.mark.parametrize("client", ["confluent", "java"])
def test_a_half_rolled_fleet_goes_on_through_kill_9_of_evoke(evoke, members, client):
    topic = group = f"half-{client}"
    create_topic(evoke, topic)
    old, new = members(client, topic, group), members(client, topic, group, NEW)
    wait_until(lambda: share([old, new]), SLOW_S, "both share")
    for round in range(3):
        publish(evoke, topic, 20)
        wait_until(lambda: len(set(old.got + new.got)) == 20 * (round + 1), SLOW_S, f"round {round} is read")
        if round == 0:
            moves = len(old.history) + len(new.history)
        evoke.kill()
        evoke.start()
    assert len(old.history) + len(new.history) == moves, "a restart moves nothing"
    assert group_type(evoke, group) == ConsumerGroupType.CONSUMER
