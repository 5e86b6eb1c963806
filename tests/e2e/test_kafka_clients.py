# SPDX-License-Identifier: Apache-2.0
"""Every real client writes with every codec that it has, and every real client reads what all of them wrote, finds records
by their time, and administers. kafka_clients.CLIENTS says who can what; groups and transactions have files of their own."""
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

import kafka_clients
from kafka_clients import ADMINISTERED, CLIENTS

COUNT = 200


@pytest.fixture(scope="module")
def written(evoke, clients):
    """The topics, by writer, then codec; each has COUNT records and was made by writing to it."""
    writers = {name: client.codecs for name, client in CLIENTS.items() if not kafka_clients.missing(clients, name)}
    for name, codecs in writers.items():
        kafka_clients.run(clients, name, "produce", evoke.kafka, name, COUNT, *codecs)
    return {name: {codec: f"{name}-{codec}" for codec in codecs} for name, codecs in writers.items()}


@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_reads_what_every_client_wrote(evoke, clients, written, client):
    reader, known = client, CLIENTS[client].codecs
    topics = {topic: (writer, codec) for writer, of in written.items() for codec, topic in of.items() if codec in known}
    got = kafka_clients.consume(clients, reader, evoke.kafka, COUNT, topics)
    for topic, (writer, codec) in topics.items():
        records = got[topic]
        assert sorted(i for _, _, i, _ in records.values()) == list(range(COUNT)), topic
        assert all((key, c) == (f"k{i}", codec) for key, c, i, _ in records.values()), topic
        if writer != "kcat" and reader != "kcat":
            assert all(header == str(i) for _, _, i, header in records.values()), topic
        for partition in {p for p, _ in records}:
            offsets = sorted(o for p, o in records if p == partition)
            assert offsets == list(range(len(offsets))), f"{topic}: offsets are dense from 0"


START_MS, STEP_MS = 1_700_000_000_000, 1000


@pytest.fixture(scope="module")
def timed(evoke):
    """Ten records a second apart, in one batch of partition 0."""
    producer = Producer({"bootstrap.servers": evoke.kafka, "linger.ms": 50})
    for i in range(10):
        producer.produce("timed", f"at {i}", partition=0, timestamp=START_MS + STEP_MS * i)
    assert producer.flush(10) == 0
    return "timed"


@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_finds_a_record_by_its_time(evoke, clients, timed, client):
    for after_ms, found in ((-STEP_MS, 0), (4 * STEP_MS, 4), (4 * STEP_MS + 1, 5)):
        assert kafka_clients.run(clients, client, "seek", evoke.kafka, timed, START_MS + after_ms) == f"{found} at {found}\n"


@pytest.mark.parametrize("client", [name for name in CLIENTS if CLIENTS[name].administers], indirect=True)
def test_administers_topics_settings_records_and_groups(evoke, clients, client):
    filled, group = f"filled-{client}", f"emptied-{client}"
    kafka_clients.kcat(evoke.kafka, "-P", "-t", filled, "-p", 0, stdin="1\n2\n3\n4\n5\n")
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": group})
    consumer.commit(offsets=[TopicPartition(filled, 0, 3)], asynchronous=False)
    consumer.close()
    printed = kafka_clients.run(clients, client, "admin", evoke.kafka, f"made-{client}", filled, group).splitlines()
    assert dict(line.split() for line in printed) == {name: value for name, value in ADMINISTERED.items() if name not in CLIENTS[client].missing}


def test_records_of_one_key_stay_in_one_partition_in_order(evoke):
    lines = "".join(f"{'ab'[i % 2]}|{i}\n" for i in range(100))
    kafka_clients.kcat(evoke.kafka, "-P", "-t", "ordered", "-K", "|", stdin=lines)
    out = kafka_clients.kcat(evoke.kafka, "-C", "-t", "ordered", "-e", "-q", "-f", "%p %k %s\n")
    for key in "ab":
        mine = [line.split() for line in out.splitlines() if line.split()[1] == key]
        assert len({p for p, _, _ in mine}) == 1
        assert [int(i) for _, _, i in mine] == list(range("ab".index(key), 100, 2))
