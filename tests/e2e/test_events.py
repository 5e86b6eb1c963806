# SPDX-License-Identifier: Apache-2.0
"""The way of an event: published by HTTP or Kafka, delivered, answered, retried, dead-lettered; and from zero and back."""
import json
import uuid

import pytest
import requests
from cloudevents.http import CloudEvent
from cloudevents.conversion import to_binary, to_structured

import manifests
from conftest import wait_until


@pytest.fixture(scope="module")
def handler(build):
    return build / "bench" / "bench_handler"


def publish(evoke, type, data="{}", namespace="default", broker="default", structured=False, id=None):
    event = CloudEvent({"type": type, "source": "test", "id": id or str(uuid.uuid4()), "datacontenttype": "application/json"},
                       json.loads(data))
    headers, body = (to_structured if structured else to_binary)(event)
    answer = requests.post(f"http://{evoke.http}/{namespace}/{broker}", headers=headers, data=body, timeout=10)
    assert answer.status_code == 202, answer.text
    return event["id"]


def events_on(evoke, topic):
    done = evoke.run("consume", "-b", evoke.kafka, "-o", "json", topic)
    if done.returncode != 0:
        return []
    return [json.loads(line) for line in done.stdout.splitlines()]


def ready_pods(evoke, app, namespace="default"):
    done = evoke.kubectl("get", "pods", "-n", namespace, "-l", f"app={app}", "-o", "json")
    return [pod["metadata"]["name"] for pod in json.loads(done.stdout)["items"]
            if any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))]


def replies_to(evoke, topic, id):
    return [e for e in events_on(evoke, topic) if e["headers"].get("ce_id") == f"re-{id}"]


def test_an_event_by_http_is_delivered_and_its_reply_becomes_an_event(evoke, handler):
    evoke.kubectl("apply", "-f", "-", stdin=manifests.text(
        manifests.broker(), manifests.service("echo", handler), manifests.trigger("echo", "echo", "ping")))
    evoke.kubectl("wait", "--for=condition=Ready", "trigger/echo", "--timeout=20s")
    for structured in (False, True):
        id = publish(evoke, "ping", '{"n": 1}', structured=structured)
        reply = wait_until(lambda: replies_to(evoke, "default.default", id), what="a reply")
        assert len(reply) == 1
        assert reply[0]["headers"]["ce_type"] == "echo"
        assert json.loads(reply[0]["value"]) == {"n": 1}


def test_an_event_by_kafka_is_delivered(evoke, handler):
    from confluent_kafka import Producer
    id = str(uuid.uuid4())
    producer = Producer({"bootstrap.servers": evoke.kafka})
    producer.produce("default.default", b'{"n": 2}', headers=[
        ("ce_specversion", "1.0"), ("ce_id", id), ("ce_source", "test"), ("ce_type", "ping"), ("content-type", "application/json")])
    assert producer.flush(10) == 0
    wait_until(lambda: replies_to(evoke, "default.default", id), what="a reply")


def test_an_event_that_no_trigger_wants_is_only_stored(evoke):
    id = publish(evoke, "nobody.wants.this")
    other = publish(evoke, "ping")
    wait_until(lambda: replies_to(evoke, "default.default", other), what="the later event is answered")
    assert not replies_to(evoke, "default.default", id)


def test_events_are_posted_and_nothing_else(evoke):
    wrong = requests.get(f"http://{evoke.http}/default/default", timeout=5)
    assert wrong.status_code == 405 and "POST" in wrong.headers["Allow"]


def test_an_event_that_fails_is_retried_and_dead_lettered(evoke, handler):
    evoke.kubectl("apply", "-f", "-", stdin=manifests.text(
        manifests.service("failing", handler, mode="fail"), manifests.service("morgue", handler, mode="echo"),
        manifests.trigger("failing", "failing", "bad", delivery={
            "retry": 2, "backoffPolicy": "linear", "backoffDelay": "PT0.05S",
            "deadLetterSink": {"ref": {"apiVersion": "v1", "kind": "Service", "name": "morgue"}}})))
    evoke.kubectl("wait", "--for=condition=Ready", "trigger/failing", "--timeout=20s")
    publish(evoke, "bad")
    def dead_letters():
        text = requests.get(f"http://{evoke.admin}/metrics", timeout=5).text
        return any(line.startswith("evoke_dispatch_dead_letters_total") and float(line.split()[-1]) >= 1 for line in text.splitlines())
    wait_until(dead_letters, what="a dead letter")


@pytest.mark.parametrize("process", [True])
def test_an_event_starts_the_service_from_zero_and_it_goes_back_to_zero(evoke, handler, process):
    evoke.kubectl("apply", "-f", "-", stdin=manifests.text(
        manifests.service("sleeper", handler, replicas=0), manifests.trigger("sleeper", "sleeper", "wake"),
        manifests.scaled_object("sleeper", "sleeper", cooldown=2)))
    evoke.kubectl("wait", "--for=condition=Ready", "trigger/sleeper", "--timeout=20s")
    assert not ready_pods(evoke, "sleeper")
    for _ in range(2):
        id = publish(evoke, "wake")
        wait_until(lambda: replies_to(evoke, "default.default", id), what="a reply from zero")
        wait_until(lambda: not ready_pods(evoke, "sleeper"), what="back to zero")


def test_an_event_starts_only_the_service_that_wants_it(evoke, handler):
    evoke.kubectl("apply", "-f", "-", stdin=manifests.text(
        manifests.broker(), manifests.service("lark", handler, replicas=0), manifests.trigger("lark", "lark", "morning"),
        manifests.scaled_object("lark", "lark", cooldown=2),
        manifests.service("owl", handler, replicas=0), manifests.trigger("owl", "owl", "night"),
        manifests.scaled_object("owl", "owl", cooldown=2)))
    for name in ("lark", "owl"):
        evoke.kubectl("wait", "--for=condition=Ready", f"trigger/{name}", "--timeout=20s")
    for _ in range(5):
        id = publish(evoke, "morning")
        wait_until(lambda: replies_to(evoke, "default.default", id), what="a reply")
    generations = {name: int(evoke.kubectl("get", "deployment", name, "-o", "jsonpath={.metadata.generation}").stdout)
                   for name in ("lark", "owl")}
    assert generations["lark"] > 1, "it was scaled"
    assert generations["owl"] == 1, "nobody has touched it"


def test_a_burst_scales_out_and_every_event_is_answered_once(evoke, handler):
    evoke.kubectl("apply", "-f", "-", stdin=manifests.text(
        manifests.broker(name="burst"), manifests.service("worker", handler, replicas=0, env={"WORK_MS": "20"}),
        manifests.trigger("worker", "worker", "work", broker="burst"),
        manifests.scaled_object("worker", "worker", broker="burst", maximum=3, cooldown=2, threshold=20)))
    evoke.kubectl("wait", "--for=condition=Ready", "trigger/worker", "--timeout=20s")
    from confluent_kafka import Producer
    producer = Producer({"bootstrap.servers": evoke.kafka})
    ids = [f"burst-{i}" for i in range(200)]
    for id in ids:
        producer.produce("default.burst", b"{}", headers=[("ce_specversion", "1.0"), ("ce_id", id), ("ce_source", "test"), ("ce_type", "work")])
    assert producer.flush(10) == 0
    most = 0
    def answered():
        nonlocal most
        most = max(most, len(ready_pods(evoke, "worker")))
        return len([e for e in events_on(evoke, "default.burst") if e["headers"]["ce_type"] == "echo"]) >= len(ids)
    wait_until(answered, timeout=60, what="all answered")
    replies = sorted(e["headers"]["ce_id"] for e in events_on(evoke, "default.burst") if e["headers"]["ce_type"] == "echo")
    assert replies == sorted(f"re-{id}" for id in ids), "each exactly once, over scaling up and down"
    assert most > 1, "it scaled out"
    wait_until(lambda: not ready_pods(evoke, "worker"), what="back to zero")


def test_a_request_to_a_service_is_held_until_it_has_woken(evoke, handler):
    evoke.kubectl("apply", "-f", "-", stdin=manifests.text(
        manifests.service("held", handler, replicas=0), manifests.trigger("held", "held", "never"),
        manifests.scaled_object("held", "held", cooldown=2)))
    ip = wait_until(lambda: evoke.kubectl("get", "service", "held", "-o", "jsonpath={.spec.clusterIP}").stdout, what="an address")
    assert requests.get(f"http://{ip}/", timeout=20).status_code == 200
    wait_until(lambda: not ready_pods(evoke, "held"), what="back to zero")
