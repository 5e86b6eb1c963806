# SPDX-License-Identifier: Apache-2.0
"""kafka-python 3 behind the verbs of kafka_clients.py that are about transactions. See there."""
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, ProducerFencedError
from kafka.structs import OffsetAndMetadata


def producer_of(bootstrap, id):
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=id, acks="all", linger_ms=5)
    producer.init_transactions()
    return producer


def transact(bootstrap, topic, id):
    producer = producer_of(bootstrap, id)
    for word, commits in (("first", True), ("aborted", False), ("second", True)):
        producer.begin_transaction()
        for i in range(10):
            producer.send(topic, b"%s %d" % (word.encode(), i), partition=i % 2)
        producer.flush(20)
        producer.commit_transaction() if commits else producer.abort_transaction()
    producer.begin_transaction()
    producer.send(topic, b"open", partition=0)
    producer.flush(20)


def read(bootstrap, *topics):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed")
    partitions = [TopicPartition(topic, p) for topic in topics for p in range(2)]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    consumer.seek_to_beginning(*partitions)
    while any(consumer.position(p) < ends[p] for p in partitions):
        for records in consumer.poll(timeout_ms=500).values():
            for record in records:
                print(record.topic, record.value.decode())
    consumer.close()


def fence(bootstrap, topic, id):
    old = producer_of(bootstrap, id)
    old.begin_transaction()
    old.send(topic, b"of the old one", partition=0)
    old.flush(20)
    new = producer_of(bootstrap, id)
    try:
        old.commit_transaction()
        print("committed")
    except ProducerFencedError:
        print("fenced")
    except KafkaError as error:
        print(repr(error))
    new.begin_transaction()
    new.send(topic, b"of the new one", partition=0)
    new.commit_transaction()


def pipe(bootstrap, source, target, group, id, count):
    consumer = KafkaConsumer(source, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest",
                             enable_auto_commit=False, isolation_level="read_committed", session_timeout_ms=6000)
    consumer.partitions_for_topic(source)  # else it may join before it knows the topic (see client_python.py)
    producer, done, turn = producer_of(bootstrap, id), 0, 0
    while done < int(count):
        polled = consumer.poll(timeout_ms=500, max_records=7)
        if not polled:
            continue
        turn += 1
        producer.begin_transaction()
        for partition, records in polled.items():
            for record in records:
                producer.send(target, record.value + b" done", partition=partition.partition)
        offsets = {partition: OffsetAndMetadata(records[-1].offset + 1, "", -1) for partition, records in polled.items()}
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
        if turn % 3 == 1:
            producer.abort_transaction()
            for partition, records in polled.items():
                consumer.seek(partition, records[0].offset)
        else:
            producer.commit_transaction()
            done += sum(map(len, polled.values()))
    consumer.close()


globals()[sys.argv[1]](*sys.argv[2:])
