# SPDX-License-Identifier: Apache-2.0
"""More topics with data than may be open at once: files, maps and memory stay within bounds while all of it is read."""
import os
import pathlib

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from conftest import wait_until
from test_kafka_bad_input import metric

TOPICS, RECORDS, SIZE = 800, 60, 500  # beyond the journal, so that most of it is in segments
SEGMENTS_OPEN_MAX = 256  # segment_reader.h; two files each; as many again while they are sent
FILES_BESIDES = 100      # the journal's, sockets, ends of pipes
MAPS_BESIDES = 200       # the program's, the journal's
MEMORY_MAX = 64 << 20


def open_files(evoke):
    return len(os.listdir(f"/proc/{evoke.process.pid}/fd"))


def own_memory(evoke):
    status = pathlib.Path(f"/proc/{evoke.process.pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def test_more_topics_than_may_be_open_are_written_and_read(new_evoke):
    evoke = new_evoke(["--journal-size-max", "16Mi"]).start()
    names = [f"topic-{i}" for i in range(TOPICS)]
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    for made in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        made.result(60)
    producer = Producer({"bootstrap.servers": evoke.kafka, "linger.ms": 20})
    for _ in range(RECORDS):
        for name in names:
            producer.produce(name, os.urandom(SIZE))
    assert producer.flush(120) == 0
    del producer  # which would look for evoke until the end of all tests
    wait_until(lambda: metric(evoke, "evoke_log_segments") > SEGMENTS_OPEN_MAX, what="there are more segments than may be open")
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": "all"})
    consumer.assign([TopicPartition(name, 0, 0) for name in names])
    got, files = 0, 0
    while got < TOPICS * RECORDS:
        messages = consumer.consume(5000, 20)
        assert messages, f"{got} of {TOPICS * RECORDS}"
        got += len(messages)
        files = max(files, open_files(evoke))
    consumer.close()
    maps = len(pathlib.Path(f"/proc/{evoke.process.pid}/maps").read_text().splitlines())
    assert files <= 2 * 2 * SEGMENTS_OPEN_MAX + FILES_BESIDES and maps <= MAPS_BESIDES and own_memory(evoke) <= MEMORY_MAX, (files, maps)
