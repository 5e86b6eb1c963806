# SPDX-License-Identifier: Apache-2.0
"""300 rounds of kill -9 of evoke under an idempotent and a transactional producer: nothing acknowledged is lost, nothing is
doubled, and of each transaction all is there or nothing."""
import collections
import random
import threading
import time

import pytest

ROUNDS = 300
CONNECTION = {"message.timeout.ms": 120000, "reconnect.backoff.ms": 5, "reconnect.backoff.max.ms": 20, "retry.backoff.ms": 5,
              "topic.metadata.refresh.interval.ms": 500, "log_level": 0}


class Load(threading.Thread):
    """A producer that never stops until it is told to. Its values begin with what it numbers, and are of a size."""

    def __init__(self, size):
        super().__init__(daemon=True)
        self.filler = " " + "x" * size
        self.ending = threading.Event()
        self.failure = None

    def run(self):
        try:
            self.work()
        except Exception as error:  # told by the test, which waits for the thread
            self.failure = error

    def finish(self):
        self.ending.set()
        self.join(120)
        assert not self.is_alive(), "the producer comes to an end"
        if self.failure:
            raise self.failure


class Idempotent(Load):
    def __init__(self, brokers, size):
        super().__init__(size)
        from confluent_kafka import Producer
        self.producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 1, **CONNECTION})
        self.acknowledged = []

    def delivered(self, error, message):
        if error is None:
            self.acknowledged.append(message.value().decode().removesuffix(self.filler))

    def work(self):
        number = 0
        while not self.ending.is_set():
            number += 1
            self.producer.produce("idempotent", f"{number}{self.filler}", on_delivery=self.delivered, partition=0)
            self.producer.poll(0.001)
        assert self.producer.flush(60) == 0


class Transactional(Load):
    """Transactions over two topics. What commit_transaction() has said is known; where it could not say, nobody knows."""

    SIZE = 5

    def __init__(self, brokers, size):
        super().__init__(size)
        self.brokers = brokers
        self.committed, self.aborted, self.unknown = set(), set(), set()

    def producer(self):
        from confluent_kafka import KafkaException, Producer
        while True:
            made = Producer({"bootstrap.servers": self.brokers, "transactional.id": "t", "transaction.timeout.ms": 120000, "linger.ms": 1, **CONNECTION})
            try:
                made.init_transactions(60)
                return made
            except KafkaException:
                time.sleep(0.01)

    def transact(self, producer, number):
        """Where the transaction ends: one of the three sets."""
        from confluent_kafka import KafkaException
        producer.begin_transaction()
        for i in range(self.SIZE):
            producer.produce(f"transactional-{i % 2}", f"{number} {i}{self.filler}", partition=0)
        if number % 4 == 0:
            producer.abort_transaction(60)
            return self.aborted
        while True:
            try:
                producer.commit_transaction(60)
                return self.committed
            except KafkaException as error:
                if error.args[0].retriable():
                    continue
                if error.args[0].txn_requires_abort():
                    producer.abort_transaction(60)
                    return self.aborted
                raise

    def work(self):
        from confluent_kafka import KafkaException
        producer, number = self.producer(), 0
        while not self.ending.is_set():
            number += 1
            try:
                self.transact(producer, number).add(number)
            except KafkaException:
                self.unknown.add(number)
                producer = self.producer()


def create_topics(evoke, *names):
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    for made in admin.create_topics([NewTopic(name, 1) for name in names]).values():
        made.result(10)


def values(evoke, topic, filler):
    """All of it, in order, as a consumer that reads what is committed sees it; without the filler."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": "unused", "enable.partition.eof": True,
                         "isolation.level": "read_committed", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    got = []
    while True:
        message = consumer.poll(30)
        assert message is not None, f"{topic} ends"
        if not message.error():
            got.append(message.value().decode().removesuffix(filler))
            continue
        assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
        consumer.close()
        return got


def check_transactions(load, topics):
    seen = collections.Counter(value for topic in topics for value in topic)
    assert [value for value, count in seen.items() if count > 1] == [], "nothing is doubled"
    parts = collections.Counter(int(value.split()[0]) for value in seen)
    assert {number: count for number, count in parts.items() if count != load.SIZE} == {}, "of a transaction all is there or nothing"
    assert load.committed <= set(parts), "what was committed is there"
    assert not load.aborted & set(parts), "what was aborted is not seen"
    assert set(parts) <= load.committed | load.unknown


def spilled(evoke):
    """Bytes in segments that a checkpoint knows of."""
    if not (evoke.data / "checkpoint").exists():
        return 0
    return sum(path.stat().st_size for path in evoke.data.glob("segments/*/*.log"))


@pytest.mark.parametrize("journal, size", [
    pytest.param([], 0, id="in_the_journal_alone"),
    pytest.param(["--journal-file-size", "1Mi", "--journal-size-max", "4Mi"], 5000, id="while_the_journal_moves_to_segments"),
])
def test_nothing_is_lost_or_doubled_over_300_kills(new_evoke, journal, size):
    evoke = new_evoke(journal).start()
    create_topics(evoke, "idempotent", "transactional-0", "transactional-1")
    idempotent, transactional = Idempotent(evoke.kafka, size), Transactional(evoke.kafka, size)
    idempotent.start()
    transactional.start()
    random.seed(11)
    growths, before = 0, 0
    for _ in range(ROUNDS):
        time.sleep(random.uniform(0.02, 0.2))
        evoke.kill()
        growths, before = growths + (spilled(evoke) > before), spilled(evoke)
        evoke.start()
    idempotent.finish()
    transactional.finish()
    assert growths > ROUNDS // 10 if journal else growths == 0, "segments were made between kills"
    got = values(evoke, "idempotent", idempotent.filler)
    assert got == sorted(set(got), key=int), "in order, none doubled"
    assert set(idempotent.acknowledged) <= set(got), "none lost"
    assert len(idempotent.acknowledged) > ROUNDS and len(transactional.committed) > ROUNDS // 10
    check_transactions(transactional, [values(evoke, f"transactional-{i}", transactional.filler) for i in range(2)])
    assert evoke.stop() == 0
    checked = evoke.run("check", evoke.data)
    assert checked.returncode == 0, checked.stdout
