# SPDX-License-Identifier: Apache-2.0
"""How long records stay, as a Kafka client sees it: retention, DeleteRecords, compaction, settings altered at run time."""
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType


def admin_of(evoke):
    return AdminClient({"bootstrap.servers": evoke.kafka})


def make(evoke, name, **settings):
    config = {key.replace("_", "."): value for key, value in settings.items()}
    admin = admin_of(evoke)  # it must outlive the call
    admin.create_topics([NewTopic(name, 1, 1, config=config)])[name].result(10)


def produce(evoke, topic, records):
    producer = Producer({"bootstrap.servers": evoke.kafka, "linger.ms": 0})
    for key, value in records:
        producer.produce(topic, value, key)
        producer.flush(10)


def watermarks(evoke, topic):
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": "watermarks"})
    low_high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    consumer.close()
    return low_high


def read(evoke, topic):
    low, high = watermarks(evoke, topic)
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": "read"})
    consumer.assign([TopicPartition(topic, 0, low)])
    records = []
    while consumer.position([TopicPartition(topic, 0)])[0].offset < high:
        message = consumer.poll(1)
        if message and not message.error():
            records.append((message.key(), message.value()))
            if message.offset() + 1 == high:
                break
    consumer.close()
    return records


def wait_for(met, timeout=20):
    end = time.time() + timeout
    while not met():
        assert time.time() < end, "it does not come"
        time.sleep(0.1)


def test_records_go_when_their_time_is_over_and_when_settings_say_so(evoke):
    make(evoke, "short", retention_ms="2000")
    make(evoke, "long")
    produce(evoke, "short", [(b"k", b"%d" % i) for i in range(5)])
    produce(evoke, "long", [(b"k", b"%d" % i) for i in range(5)])
    assert watermarks(evoke, "short") == (0, 5)
    wait_for(lambda: watermarks(evoke, "short") == (5, 5))
    assert watermarks(evoke, "long") == (0, 5)
    resource = ConfigResource(ResourceType.TOPIC, "long", incremental_configs=[
        ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)])
    admin = admin_of(evoke)
    admin.incremental_alter_configs([resource])[resource].result(10)
    wait_for(lambda: watermarks(evoke, "long") == (5, 5))


def test_records_are_deleted_up_to_an_offset(evoke):
    make(evoke, "cut")
    produce(evoke, "cut", [(b"k", b"%d" % i) for i in range(10)])
    partition = TopicPartition("cut", 0, 4)
    admin = admin_of(evoke)
    assert admin.delete_records([partition])[partition].result(10).low_watermark == 4
    assert read(evoke, "cut") == [(b"k", b"%d" % i) for i in range(4, 10)]
    beyond = TopicPartition("cut", 0, 11)
    try:
        admin.delete_records([beyond])[beyond].result(10)
        assert False, "it is beyond the end"
    except KafkaException as error:
        assert "OFFSET_OUT_OF_RANGE" in str(error)
    evoke.kill()
    evoke.start()
    assert watermarks(evoke, "cut") == (4, 10)


def test_a_compacted_topic_keeps_the_last_value_of_each_key(evoke):
    make(evoke, "state", cleanup_policy="compact", segment_ms="1000", min_cleanable_dirty_ratio="0.01",
         delete_retention_ms="1000")
    produce(evoke, "state", [(b"%d" % (i % 3), b"%d" % i) for i in range(30)] + [(b"0", None), (b"9", b"end")])
    wait_for(lambda: read(evoke, "state") == [(b"1", b"28"), (b"2", b"29"), (b"9", b"end")])
    evoke.kill()
    evoke.start()
    assert read(evoke, "state") == [(b"1", b"28"), (b"2", b"29"), (b"9", b"end")]
    produce(evoke, "state", [(b"1", b"new")])
    assert read(evoke, "state")[-1] == (b"1", b"new")
