# SPDX-License-Identifier: Apache-2.0
"""confluent-kafka (librdkafka) behind the verbs of kafka_clients.py that are about transactions. See there."""
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition


def producer_of(bootstrap, id):
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": id, "linger.ms": 5})
    producer.init_transactions(20)
    return producer


def transact(bootstrap, topic, id):
    producer = producer_of(bootstrap, id)
    for word, commits in (("first", True), ("aborted", False), ("second", True)):
        producer.begin_transaction()
        for i in range(10):
            producer.produce(topic, f"{word} {i}", partition=i % 2)
        producer.flush(20)
        producer.commit_transaction(20) if commits else producer.abort_transaction(20)
    producer.begin_transaction()
    producer.produce(topic, "open", partition=0)
    producer.flush(20)


def read(bootstrap, *topics):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "auto.offset.reset": "earliest",
                         "isolation.level": "read_committed", "enable.partition.eof": True})
    partitions = [TopicPartition(topic, p, 0) for topic in topics for p in range(2)]
    consumer.assign(partitions)
    ends = 0
    while ends < len(partitions):
        message = consumer.poll(20)
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ends += 1
        else:
            print(message.topic(), message.value().decode())
    consumer.close()


def fence(bootstrap, topic, id):
    old = producer_of(bootstrap, id)
    old.begin_transaction()
    old.produce(topic, "of the old one", partition=0)
    old.flush(20)
    new = producer_of(bootstrap, id)
    try:
        old.commit_transaction(20)
        print("committed")
    except KafkaException as error:
        print("fenced" if error.args[0].fatal() and error.args[0].code() == KafkaError._FENCED else error)
    new.begin_transaction()
    new.produce(topic, "of the new one", partition=0)
    new.commit_transaction(20)


def pipe(bootstrap, source, target, group, id, count):
    """Reads, writes "<value> done" and commits the offsets, in one transaction; every third is aborted at first."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "isolation.level": "read_committed", "session.timeout.ms": 6000})
    consumer.subscribe([source])
    producer, done, turn = producer_of(bootstrap, id), 0, 0
    while done < int(count):
        messages = [m for m in consumer.consume(7, timeout=0.5) if not m.error()]
        if not messages:
            continue
        turn += 1
        producer.begin_transaction()
        for m in messages:
            producer.produce(target, m.value().decode() + " done", partition=m.partition())
        producer.send_offsets_to_transaction(consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), 20)
        if turn % 3 == 1:
            producer.abort_transaction(20)
            first = {}
            for m in messages:
                first.setdefault(m.partition(), m.offset())
            for partition, offset in first.items():
                consumer.seek(TopicPartition(source, partition, offset))
        else:
            producer.commit_transaction(20)
            done += len(messages)
    consumer.close()


globals()[sys.argv[1]](*sys.argv[2:])
