# SPDX-License-Identifier: Apache-2.0
"""confluent-kafka (librdkafka) behind the verbs of kafka_clients.py. See there."""
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition


def produce(bootstrap, prefix, count, *codecs):
    failed = []
    for codec in codecs:
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "enable.idempotence": True, "linger.ms": 20})
        for i in range(int(count)):
            producer.produce(f"{prefix}-{codec}", key=f"k{i}", value=f"{codec} {i} " + "x" * 100, headers={"n": str(i)},
                             on_delivery=lambda err, _: err and failed.append(err))
        if producer.flush(30) or failed:
            sys.exit(f"not delivered: {failed[:3]}")


def consume(bootstrap, count, *topics):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "auto.offset.reset": "earliest"})
    known = consumer.list_topics(timeout=10).topics
    consumer.assign([TopicPartition(t, p, 0) for t in topics for p in known[t].partitions])
    for m in consumer.consume(int(count) * len(topics), timeout=20):
        header = dict(m.headers())["n"].decode()
        print(m.topic(), m.partition(), m.offset(), m.key().decode(), m.value().decode().rstrip("x").strip(), header)
    consumer.close()


def group(bootstrap, topic, name, *settings):
    stop, owned = [], set()
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    config = {"bootstrap.servers": bootstrap, "group.id": name, "auto.offset.reset": "earliest",
              "enable.auto.commit": False, "session.timeout.ms": 6000, "heartbeat.interval.ms": 500,
              "topic.metadata.refresh.interval.ms": 1000}
    config.update(setting.split("=", 1) for setting in settings)
    if config.get("group.protocol") == "consumer":  # the coordinator decides these
        del config["session.timeout.ms"], config["heartbeat.interval.ms"]
    consumer = Consumer(config)

    def told(change):
        def on_change(_, partitions):
            change({p.partition for p in partitions})
            print("owns", time.time_ns() // 1000, *sorted(owned), flush=True)
            print("assigned", *sorted(owned), flush=True)
        return on_change

    def let_go(partitions):
        commit()
        owned.difference_update(partitions)

    def commit(*message):
        try:
            consumer.commit(*message, asynchronous=False)
        except KafkaException as e:  # a rebalance came between, or the broker is away: the next commit covers it
            if e.args[0].code() != KafkaError._NO_OFFSET:
                print("commit:", e, file=sys.stderr, flush=True)

    consumer.subscribe([topic], on_assign=told(owned.update), on_revoke=told(let_go), on_lost=told(owned.difference_update))
    while not stop:
        message = consumer.poll(0.2)
        if message and not message.error():
            print("got", message.partition(), message.offset(), flush=True)
            commit(message)
    consumer.close()


def seek(bootstrap, topic, ms):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused"})
    consumer.assign(consumer.offsets_for_times([TopicPartition(topic, 0, int(ms))], timeout=20))
    message = consumer.poll(20)
    print(message.offset(), message.value().decode())
    consumer.close()


{"produce": produce, "consume": consume, "group": group, "seek": seek}[sys.argv[1]](*sys.argv[2:])
