# SPDX-License-Identifier: Apache-2.0
"""Transactions with every real client that has them, each written by one client and read by all: what is committed is seen
once, what was aborted or is still open never. kafka_clients.CLIENTS says who has them."""
import pytest

import kafka_clients
from kafka_clients import CLIENTS

COMMITTED = sorted(f"{word} {i}" for word in ("first", "second") for i in range(10))


def run(clients, *arguments):
    return kafka_clients.run(clients, *arguments).splitlines()


def having(verb):
    """For the clients that have it; one that setup.sh left out is skipped."""
    return pytest.mark.parametrize("client", [name for name, client in CLIENTS.items() if verb in client.transacts], indirect=True)


def create_topics(evoke, *names):
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    for made in admin.create_topics([NewTopic(name, 2) for name in names]).values():
        made.result(10)


def read(clients, evoke, topic):
    """The values of the topic that a reader of committed records sees."""
    return [line.removeprefix(f"{topic} ") for line in run(clients, "confluent", "read", evoke.kafka, topic)]


@pytest.fixture(scope="module")
def written(evoke, clients):
    """The topics, one written to by each client."""
    writers = [name for name in CLIENTS if "transact" in CLIENTS[name].transacts and not kafka_clients.missing(clients, name)]
    topics = {writer: f"written-by-{writer}" for writer in writers}
    create_topics(evoke, *topics.values())
    for writer, topic in topics.items():
        run(clients, writer, "transact", evoke.kafka, topic, f"id-{topic}")
    return list(topics.values())


@having("read")
def test_what_every_client_commits_all_see_and_what_they_abort_none(evoke, clients, written, client):
    got = sorted(run(clients, client, "read", evoke.kafka, *written))
    assert got == sorted(f"{topic} {value}" for topic in written for value in COMMITTED)


@having("fence")
def test_a_second_producer_with_the_same_id_fences_the_first(evoke, clients, client):
    topic = f"fenced-{client}"
    create_topics(evoke, topic)
    assert run(clients, client, "fence", evoke.kafka, topic, f"id-{topic}") == ["fenced"]
    assert read(clients, evoke, topic) == ["of the new one"]


@having("pipe")
def test_records_and_their_offsets_go_together(evoke, clients, client):
    source, target = f"in-{client}", f"out-{client}"
    create_topics(evoke, source, target)
    values = [f"v{i}" for i in range(60)]
    for partition in range(2):
        kafka_clients.kcat(evoke.kafka, "-P", "-t", source, "-p", partition, stdin="".join(f"{v}\n" for v in values[partition::2]))
    run(clients, client, "pipe", evoke.kafka, source, target, f"g-{client}", f"id-{client}", 60)
    assert sorted(read(clients, evoke, target)) == sorted(f"{v} done" for v in values)
    from confluent_kafka import Consumer, TopicPartition
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": f"g-{client}"})
    assert [c.offset for c in consumer.committed([TopicPartition(source, p) for p in range(2)], timeout=10)] == [30, 30]
    consumer.close()


def test_an_administrator_sees_and_ends_a_transaction_that_hangs(evoke, clients):
    create_topics(evoke, "hanging")
    assert run(clients, "java", "hanging", evoke.kafka, "hanging", "hanging-id") == [
        "listed Ongoing", "described Ongoing [hanging-1]", "since 0", "open [false]", "fenced"]
    assert read(clients, evoke, "hanging") == []


def test_a_transaction_goes_on_over_kill_9_of_evoke(new_evoke, clients):
    from confluent_kafka import Producer
    evoke = new_evoke().start()
    create_topics(evoke, "orders")
    producer = Producer({"bootstrap.servers": evoke.kafka, "transactional.id": "t", "reconnect.backoff.max.ms": 100})
    producer.init_transactions(20)
    for commits in (True, False):
        producer.begin_transaction()
        producer.produce("orders", f"before {commits}", partition=0)
        assert producer.flush(20) == 0
        evoke.kill()
        evoke.start()
        producer.produce("orders", f"after {commits}", partition=1)
        assert producer.flush(20) == 0
        assert read(clients, evoke, "orders") == ([] if commits else ["before True", "after True"])
        producer.commit_transaction(20) if commits else producer.abort_transaction(20)
    evoke.kill()
    evoke.start()
    assert sorted(read(clients, evoke, "orders")) == ["after True", "before True"]
