# SPDX-License-Identifier: Apache-2.0
"""README's table of what an acknowledgement is worth, as far as kill -9 goes: what was acknowledged at each level is there
after it, and the producer goes on. (Power cuts are the simulation's: src/log/power_test.c.)"""
import threading

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROUNDS, AT_ONCE = 5, 300


def make_topic(evoke, name, config):
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    admin.create_topics([NewTopic(name, 1, config=config)])[name].result(20)


def killed_while_producing(evoke, topic, acks, started):
    """The values that were acknowledged; evoke is killed in the middle of them, and is up again."""
    acknowledged, enough = [], threading.Event()

    def told(err, message):
        if err is None:
            acknowledged.append(int(message.value()))
        if len(acknowledged) >= AT_ONCE // 3:
            enough.set()
    producer = Producer({"bootstrap.servers": evoke.kafka, "acks": acks, "retries": 0, "batch.num.messages": 5,
                         "message.timeout.ms": 3000, "log_level": 0})
    for i in range(started, started + AT_ONCE):
        producer.produce(topic, str(i), on_delivery=told)
        producer.poll(0)
        if enough.is_set() and evoke.process:
            evoke.kill()
    while not enough.is_set():
        assert producer.poll(10), "acknowledgements come"
    if evoke.process:
        evoke.kill()
    producer.flush(20)
    evoke.start()
    return set(acknowledged)


def read_all(evoke, topic):
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": "unused"})
    partition = TopicPartition(topic, 0, 0)
    _, end = consumer.get_watermark_offsets(partition, timeout=20)
    consumer.assign([partition])
    got = consumer.consume(end, 20) if end else []
    consumer.close()
    assert len(got) == end
    return {int(message.value()) for message in got}


@pytest.mark.parametrize("acks, config", [("all", {}), ("1", {}), ("all", {"evoke.flush": "os"})], ids=["all", "1", "flush-os"])
def test_what_was_acknowledged_survives_kill_9(new_evoke, acks, config):
    evoke = new_evoke().start()
    make_topic(evoke, "kept", config)
    acknowledged = set()
    for round in range(ROUNDS):
        acknowledged |= killed_while_producing(evoke, "kept", acks, round * AT_ONCE)
        assert acknowledged <= read_all(evoke, "kept"), f"round {round}"
    assert len(acknowledged) >= ROUNDS * AT_ONCE // 3
