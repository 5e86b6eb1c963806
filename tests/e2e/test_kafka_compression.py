# SPDX-License-Identifier: Apache-2.0
"""compression.type: what a client sends in one codec is stored in the topic's, and every client reads it."""
import socket
import struct

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]  # in the order of their numbers in a batch's attributes


@pytest.fixture(scope="module")
def admin(evoke):
    return AdminClient({"bootstrap.servers": evoke.kafka})


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def fetch(evoke, topic, version=11):
    """The record set of partition 0 from its start, byte for byte."""
    body = struct.pack(">iiiibii", -1, 1000, 1, 16 << 20, 0, 0, -1)  # replica, wait, min, max, isolation, session
    body += struct.pack(">i", 1) + string(topic) + struct.pack(">iiiqqi", 1, 0, -1, 0, -1, 16 << 20)
    body += struct.pack(">i", 0) + string("")  # forgotten topics, rack
    request = struct.pack(">hhih", 1, version, 7, -1) + body
    host, port = evoke.kafka.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(struct.pack(">i", len(request)) + request)
        answer = sock.makefile("rb").read(struct.unpack(">i", sock.recv(4, socket.MSG_WAITALL))[0])
    at = 4 + 4 + 2 + 4 + 4 + 2 + len(topic) + 4  # correlation, throttle, error, session, topics, name, partitions
    _, error, _, _, _, aborted = struct.unpack_from(">ihqqqi", answer, at)
    assert error == 0 and aborted <= 0
    at += 34 + 4  # and the preferred replica
    size, = struct.unpack_from(">i", answer, at)
    return answer[at + 4:at + 4 + size]


def codecs_of(records):
    found = []
    while records:
        length, = struct.unpack_from(">i", records, 8)
        found.append(CODECS[struct.unpack_from(">h", records, 21)[0] & 7])
        records = records[12 + length:]
    return found


def produce(evoke, topic, codec, count=50):
    producer = Producer({"bootstrap.servers": evoke.kafka, "compression.type": codec, "linger.ms": 50,
                         "enable.idempotence": True})
    for i in range(count):
        producer.produce(topic, f"{codec} {i} " + "text that packs well " * 20, key=str(i), partition=0)
    assert producer.flush(10) == 0


def alter(admin, topic, **settings):
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()])
    admin.incremental_alter_configs([resource])[resource].result(10)


@pytest.mark.parametrize("wanted", ["uncompressed", "gzip", "snappy", "lz4", "zstd"])
def test_batches_are_stored_and_read_in_the_codec_of_their_topic(evoke, admin, wanted):
    topic = f"stored-{wanted}"
    admin.create_topics([NewTopic(topic, 1, config={"compression.type": wanted})])[topic].result(10)
    for codec in CODECS:
        produce(evoke, topic, codec)
    assert set(codecs_of(fetch(evoke, topic))) == {"none" if wanted == "uncompressed" else wanted}
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": topic, "auto.offset.reset": "earliest",
                         "check.crcs": True})
    consumer.subscribe([topic])
    got = []
    while len(got) < 50 * len(CODECS):
        message = consumer.poll(10)
        assert message and not message.error(), got[-1:]
        got.append(message.value().decode().split(" text")[0])
    consumer.close()
    assert got == [f"{codec} {i}" for codec in CODECS for i in range(50)]


def test_the_codec_changes_while_the_topic_is_in_use_and_a_level_makes_it_smaller(evoke, admin):
    admin.create_topics([NewTopic("changing", 1)])["changing"].result(10)
    produce(evoke, "changing", "lz4")
    sizes = []
    for level in "1", "9":
        before = len(fetch(evoke, "changing"))
        alter(admin, "changing", compression_type="gzip", compression_gzip_level=level)
        produce(evoke, "changing", "lz4", 2000)
        sizes.append(len(fetch(evoke, "changing")) - before)
    assert codecs_of(fetch(evoke, "changing"))[0] == "lz4"
    assert set(codecs_of(fetch(evoke, "changing"))[1:]) == {"gzip"}
    assert sizes[1] < sizes[0]
