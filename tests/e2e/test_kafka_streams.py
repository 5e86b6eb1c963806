# SPDX-License-Identifier: Apache-2.0
"""Kafka Streams' word count with `exactly_once_v2`, over kill -9 of evoke and of the application: each word is counted as often
as it was written, and each count is seen once."""
import collections
import random
import subprocess
import threading
import time

import pytest

import kafka_clients
from conftest import wait_until

PARTITIONS = 3
WORDS = "the quick brown fox jumps over the lazy dog while an event starts a service and it ends with the last one".split()


class Application:
    """A process of the word count; its output is read as it comes."""

    def __init__(self, clients, bootstrap, directory):
        self.output = []
        self.process = subprocess.Popen(
            ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{clients}/streams/jars/*", str(kafka_clients.HERE / "WordCount.java"),
             bootstrap, "word-count", "lines", "counts", str(directory)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=lambda: self.output.extend(self.process.stdout), daemon=True).start()

    def end(self, kill=False):
        if self.process.poll() is None:
            self.process.kill() if kill else self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def application(clients, tmp_path):
    made = []

    def start(bootstrap):
        made.append(Application(clients, bootstrap, tmp_path))
        return made[-1]

    yield start
    for one in made:
        one.end(kill=True)


def create_topics(evoke, *names):
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    for made in admin.create_topics([NewTopic(name, PARTITIONS) for name in names]).values():
        made.result(10)


def counts_of(evoke):
    """What a reader of committed records sees of each word: its counts, in order."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": "unused", "isolation.level": "read_committed",
                         "enable.partition.eof": True, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition("counts", p, 0) for p in range(PARTITIONS)])
    counts, ends = collections.defaultdict(list), 0
    while ends < PARTITIONS:
        message = consumer.poll(20)
        if not message.error():
            counts[message.key().decode()].append(int.from_bytes(message.value(), "big"))
            continue
        assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
        ends += 1
    consumer.close()
    return counts


def test_each_word_is_counted_exactly_once(new_evoke, application):
    from confluent_kafka import Producer
    evoke = new_evoke().start()
    create_topics(evoke, "lines", "counts")
    producer = Producer({"bootstrap.servers": evoke.kafka, "enable.idempotence": True, "message.timeout.ms": 120000,
                         "reconnect.backoff.max.ms": 100})
    written, chosen = collections.Counter(), random.Random(3)
    counting = application(evoke.kafka)
    wait_until(lambda: "state RUNNING\n" in counting.output, 60, "the application runs")
    for turn in range(8):
        for _ in range(40):
            line = chosen.choices(WORDS, k=6)
            written.update(line)
            producer.produce("lines", " ".join(line), partition=chosen.randrange(PARTITIONS))
            producer.poll(0.01)
        if turn == 4:
            counting.end(kill=True)
            counting = application(evoke.kafka)
        elif turn > 0:
            time.sleep(chosen.uniform(0.1, 0.8))
            evoke.kill()
            evoke.start()
    assert producer.flush(60) == 0

    def all_counted():
        counts = counts_of(evoke)
        return counts if all(counts[word] and max(counts[word]) >= count for word, count in written.items()) else None

    counts = wait_until(all_counted, 120, "all words are counted; the application's output:\n" + "".join(counting.output[-20:]))
    for word, count in written.items():
        assert counts[word] == list(range(1, count + 1)), f"{word}: each count once, in order, up to {count}"
