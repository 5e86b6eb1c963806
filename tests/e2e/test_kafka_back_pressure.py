# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, ask for much, or are above their quota: they cost little and hold up nobody else."""
import struct

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import kafka_clients
from conftest import wait_until
from test_kafka_bad_input import connect, frame, header, metric

SLOW = 100
RECORDS, RECORD_SIZE = 32 * 1024, 1024
MEMORY_MAX = 64 << 20  # what all of them together may cost


def own_memory(evoke):
    """Without the pages of the journal's files, which are the page cache's."""
    status = open(f"/proc/{evoke.process.pid}/status").read()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


@pytest.fixture(scope="module")
def filled(evoke):
    producer = Producer({"bootstrap.servers": evoke.kafka, "linger.ms": 20})
    for i in range(RECORDS):
        producer.produce("filled", bytes(RECORD_SIZE), partition=0)
        producer.poll(0)
    assert producer.flush(60) == 0
    return "filled"


@pytest.fixture(scope="module")
def many_topics(evoke):
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    for made in admin.create_topics([NewTopic(f"one-of-many-{i}", 4) for i in range(1000)]).values():
        made.result(30)


def fetch_all(topic):
    partition = struct.pack(">iiqi", 1, 0, 0, 64 << 20)
    return frame(header(1, 4) + struct.pack(">iiiib", -1, 100, 1, 64 << 20, 0) + struct.pack(">ih", 1, len(topic)) + topic.encode() + partition)


def all_metadata():
    return frame(header(3, 1) + struct.pack(">i", -1))


@pytest.fixture
def who_do_not_read(evoke):
    """Makes so many connections that each send a request 150 times and read no answer."""
    made = []

    def make(request):
        before = metric(evoke, "evoke_kafka_paused_total")
        for _ in range(SLOW):
            made.append(connect(evoke))
            made[-1].sendall(150 * request)
        wait_until(lambda: metric(evoke, "evoke_kafka_paused_total") >= before + SLOW, what="all are held back")
        return made

    yield make
    for sock in made:
        sock.close()


def read_frame(sock):
    data = b""
    while len(data) < 4 or len(data) < 4 + struct.unpack(">i", data[:4])[0]:
        more = sock.recv(1 << 20)
        assert more, "the connection ended"
        data += more
    return data[4:]


def test_consumers_that_do_not_read_cost_little_memory(evoke, filled, who_do_not_read):
    before = own_memory(evoke)
    slow = who_do_not_read(fetch_all(filled))
    assert own_memory(evoke) - before < MEMORY_MAX
    reader = Consumer({"bootstrap.servers": evoke.kafka, "group.id": "fast"})
    reader.assign([TopicPartition(filled, 0, 0)])
    got = 0
    while got < RECORDS:
        messages = reader.consume(min(1000, RECORDS - got), 20)
        assert messages, "one that reads is served meanwhile"
        got += len(messages)
    reader.close()
    assert own_memory(evoke) - before < MEMORY_MAX
    assert len(read_frame(slow[0])) > 1 << 20, "and they get what they asked for when they do"


def test_other_answers_that_nobody_reads_cost_little_memory_too(evoke, many_topics, who_do_not_read):
    before = own_memory(evoke)
    who_do_not_read(all_metadata())
    assert own_memory(evoke) - before < MEMORY_MAX
    kafka_clients.kcat(evoke.kafka, "-L", "-t", "one-of-many-1")


QUOTA = 100_000  # bytes a second; told after eleven seconds' worth


def produce(evoke, client, told):
    producer = Producer({"bootstrap.servers": evoke.kafka, "client.id": client, "linger.ms": 5,
                         "throttle_cb": lambda event: told.append(event.throttle_time)})
    for _ in range(14):
        producer.produce("quotas", bytes(100_000), partition=0)
    assert producer.flush(60) == 0


def consume(evoke, client, told):
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "client.id": client, "group.id": client,
                         "throttle_cb": lambda event: told.append(event.throttle_time)})
    consumer.assign([TopicPartition("quotas", 0, 0)])
    assert len(consumer.consume(14, 60)) == 14
    wait_until(lambda: consumer.poll(0.1) or told or client == "free", what="it is told")
    consumer.close()


@pytest.mark.parametrize("quota, use", [("producer_byte_rate", produce), ("consumer_byte_rate", consume)])
def test_a_client_above_its_quota_is_told_and_no_other(evoke, clients, quota, use):
    kafka_clients.run(clients, "java", "quota", evoke.kafka, "limited", quota, QUOTA)
    told = {client: [] for client in ("free", "limited")}
    for client, times in told.items():
        use(evoke, client, times)
    assert not told["free"] and told["limited"] and max(told["limited"]) > 0, told
    assert metric(evoke, "evoke_kafka_throttled_total") > 0 and metric(evoke, "evoke_kafka_throttle_seconds_total") > 0
