# SPDX-License-Identifier: Apache-2.0
"""kafka-python (2.0.2 as well as 3) behind the verbs of kafka_clients.py. See there."""
import signal
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition


def produce(bootstrap, prefix, count, *codecs):
    for codec in codecs:
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20,
                                 compression_type=None if codec == "none" else codec)
        sent = [producer.send(f"{prefix}-{codec}", key=b"k%d" % i, value=b"%s %d " % (codec.encode(), i) + b"x" * 100,
                              headers=[("n", b"%d" % i)]) for i in range(int(count))]
        for future in sent:
            future.get(timeout=20)
        producer.close()


def consume(bootstrap, count, *topics):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20000)
    consumer.assign([TopicPartition(t, p) for t in topics for p in sorted(consumer.partitions_for_topic(t))])
    for _, record in zip(range(int(count) * len(topics)), consumer):
        header = dict(record.headers)["n"].decode()
        print(record.topic, record.partition, record.offset, record.key.decode(), record.value.decode().rstrip("x").strip(), header)
    consumer.close()


def group(bootstrap, topic, name):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=name, auto_offset_reset="earliest",
                             enable_auto_commit=False, session_timeout_ms=6000, heartbeat_interval_ms=500)
    # Version 3 may join before it knows the topic, and joins again when it does; if a poll() ends while that second join is
    # on its way, it forgets to take the answer, and has nothing from then on. So it is to know the topic before it joins.
    consumer.partitions_for_topic(topic)
    assigned = None
    while not stop:
        polled = consumer.poll(timeout_ms=200)
        now = sorted(p.partition for p in consumer.assignment())
        if now != assigned:
            assigned = now
            print("assigned", *now, flush=True)
        for records in polled.values():
            for record in records:
                print("got", record.partition, record.offset, flush=True)
        if polled:
            consumer.commit()
    consumer.close()


def seek(bootstrap, topic, ms):
    consumer, partition = KafkaConsumer(bootstrap_servers=bootstrap, consumer_timeout_ms=20000), TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek(partition, consumer.offsets_for_times({partition: int(ms)})[partition].offset)
    record = next(consumer)
    print(record.offset, record.value.decode())
    consumer.close()


{"produce": produce, "consume": consume, "group": group, "seek": seek}[sys.argv[1]](*sys.argv[2:])
