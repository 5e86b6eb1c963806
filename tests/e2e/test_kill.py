# SPDX-License-Identifier: Apache-2.0
"""kill -9 of evoke under load, again and again: pods go on, acknowledged events are there, no reply is doubled."""
import collections
import json
import random
import threading
import time

import manifests
from conftest import wait_until

ROUNDS = 50


class Publisher(threading.Thread):
    """An idempotent producer that never stops; it knows what was acknowledged."""

    def __init__(self, brokers):
        super().__init__(daemon=True)
        from confluent_kafka import Producer
        self.producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "message.timeout.ms": 120000,
                                  "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50, "retry.backoff.ms": 20,
                                  "topic.metadata.refresh.interval.ms": 1000})
        self.acknowledged = set()
        self.ending = threading.Event()

    def delivered(self, error, message):
        if error is None:
            self.acknowledged.add(message.value().decode())

    def run(self):
        number = 0
        while not self.ending.is_set():
            number += 1
            self.producer.produce("default.default", f"event-{number}", on_delivery=self.delivered, headers=[
                ("ce_specversion", "1.0"), ("content-type", "text/plain"), ("ce_id", f"event-{number}"), ("ce_source", "test"), ("ce_type", "ping")])
            self.producer.poll(0.002)
        self.producer.flush(60)


def headers_on(evoke, topic):
    done = evoke.run("consume", "-b", evoke.kafka, "-o", "json", topic)
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["headers"] for line in done.stdout.splitlines()]


def test_nothing_is_lost_or_doubled_over_50_kills(new_evoke, build):
    evoke = new_evoke().start()
    evoke.kubectl("apply", "-f", "-", stdin=manifests.text(
        manifests.broker(), manifests.service("echo", build / "bench" / "bench_handler", replicas=2),
        manifests.trigger("echo", "echo", "ping")))
    evoke.kubectl("wait", "--for=condition=Ready", "trigger/echo", "--timeout=20s")
    evoke.kubectl("wait", "--for=condition=Available", "deployment/echo", "--timeout=20s")
    pods = sorted(evoke.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}").stdout.split())
    publisher = Publisher(evoke.kafka)
    publisher.start()
    random.seed(7)
    for _ in range(ROUNDS):
        time.sleep(random.uniform(0.05, 0.4))
        evoke.kill()
        evoke.start()
    publisher.ending.set()
    publisher.join(90)
    assert sorted(evoke.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}").stdout.split()) == pods, "pods go on"

    def all_answered():
        headers = headers_on(evoke, "default.default")
        asked = {h["ce_id"] for h in headers if h["ce_type"] == "ping"}
        answered = {h["ce_id"][3:] for h in headers if h["ce_type"] == "echo"}
        return headers if asked <= answered else None

    headers = wait_until(all_answered, timeout=60, what="every event is answered")
    events = collections.Counter(h["ce_id"] for h in headers if h["ce_type"] == "ping")
    replies = collections.Counter(h["ce_id"] for h in headers if h["ce_type"] == "echo")
    assert len(publisher.acknowledged) > ROUNDS
    assert publisher.acknowledged <= set(events), "acknowledged events are there"
    assert [id for id, count in events.items() if count > 1] == [], "no event is doubled"
    assert [id for id, count in replies.items() if count > 1] == [], "no reply is doubled"
