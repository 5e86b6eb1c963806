# SPDX-License-Identifier: Apache-2.0
"""What /metrics tells: all of it is documented, the dashboard asks for nothing else, and the numbers are true."""
import json
import pathlib
import re

import requests
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def scrape(evoke):
    return requests.get(f"http://{evoke.admin}/metrics", timeout=5).text


class Documented:
    """A row of docs/metrics.md."""

    def __init__(self, kind, labels):
        self.kind = kind
        self.labels = set(labels.split(", ")) - {""}


def documented():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", (SOURCE / "docs/metrics.md").read_text(), re.M)
    return {name: Documented(kind, labels.strip()) for name, kind, labels in rows}


def families(text):
    """Prometheus' own parser; it calls a counter by its name without _total."""
    found = {}
    for family in text_string_to_metric_families(text):
        name = family.name + "_total" if family.type == "counter" else family.name
        assert name not in found, f"{name} is there twice"
        found[name] = family
    return found


def value(text, sample):
    found = re.findall(rf"^{re.escape(sample)} (\S+)$", text, re.M)
    assert found, f"no sample {sample}"
    return float(found[0])


def use(evoke):
    """Something that gives most families a sample."""
    producer = Producer({"bootstrap.servers": evoke.kafka})
    producer.produce("used", "x")
    producer.flush(10)
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": "user"})
    consumer.commit(offsets=[TopicPartition("used", 0, 1)], asynchronous=False)
    consumer.close()
    admin = AdminClient({"bootstrap.servers": evoke.kafka})
    assert admin.delete_topics(["nowhere"])["nowhere"].exception(10)


def test_every_metric_is_documented_with_its_type_and_labels_and_every_documented_one_is_there(evoke):
    use(evoke)
    known, found = documented(), families(scrape(evoke))
    assert {name: row.kind for name, row in known.items()} == {name: family.type for name, family in found.items()}
    for name, family in found.items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == known[name].labels, sample
    assert [name for name in found if not found[name].samples] == [], "all have been tried"


def test_the_exposition_is_as_prometheus_wants_it(evoke):
    use(evoke)
    answer = requests.get(f"http://{evoke.admin}/metrics", timeout=5)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8" and answer.text.endswith("\n")
    seen = set()
    for name, family in families(answer.text).items():
        assert re.fullmatch(r"(evoke|process)_[a-z_]+", name) and family.documentation.endswith("."), name
        assert name.endswith("_total") == (family.type == "counter"), name
        assert not re.search(r"_(ms|kb|mb|milliseconds|count|sum|bucket)$", name), f"{name}: not a base unit, or a reserved ending"
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in seen and sample.value >= 0, key
            seen.add(key)
        if family.type == "histogram":
            check_histogram(family)


def check_histogram(family):
    series = {}
    for sample in family.samples:
        labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
        series.setdefault(labels, {}).setdefault(sample.name.removeprefix(family.name), []).append(sample)
    for one in series.values():
        buckets = [(float(sample.labels["le"]), sample.value) for sample in one["_bucket"]]
        assert buckets == sorted(buckets) and buckets[-1][0] == float("inf"), family.name
        assert [count for _, count in buckets] == sorted(count for _, count in buckets), f"{family.name}: buckets add up"
        assert one["_count"][0].value == buckets[-1][1] and len(one["_sum"]) == 1, family.name


def asked_for(expression):
    """(metric, labels that it is to have) of each selector: its matchers, and what is summed by."""
    by = {label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
    for name, matchers in re.findall(r"\b([a-z_]+)\{([^}]*)\}", expression):
        yield name, by | set(re.findall(r"(\w+)\s*[=!]", matchers))


def test_the_dashboard_asks_for_metrics_and_labels_that_are_there(evoke):
    dashboard = json.loads((SOURCE / "examples/grafana/evoke.json").read_text())
    known = documented()
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    asked = [(expression, list(asked_for(expression))) for expression in expressions]
    for variable in dashboard["templating"]["list"]:
        for name, label in re.findall(r"label_values\((\w+), (\w+)\)", str(variable["query"])):
            asked.append((variable["name"], [(name, {label})]))
    assert len(asked) > 35 and all(selectors for _, selectors in asked)
    for expression, selectors in asked:
        for name, labels in selectors:
            family = re.sub(r"_bucket$", "", name)
            assert family in known, f"{expression}: {name} is not exposed"
            assert (family != name) == (known[family].kind == "histogram"), expression
            given = known[family].labels | {"instance", "job"} | ({"le"} if family != name else set())
            assert labels <= given, f"{expression}: {name} has the labels {sorted(given)}"


def test_offsets_lag_and_latencies_are_what_clients_did(evoke):
    producer = Producer({"bootstrap.servers": evoke.kafka})
    for i in range(10):
        producer.produce("measured", b"x" * 100, partition=0)
    producer.flush(10)
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": "a group"})
    consumer.commit(offsets=[TopicPartition("measured", 0, 4)], asynchronous=False)
    consumer.close()
    text = scrape(evoke)
    partition = 'topic="measured",partition="0"'
    assert value(text, f"evoke_log_end_offset{{{partition}}}") == 10
    assert value(text, f"evoke_log_start_offset{{{partition}}}") == 0
    assert value(text, f"evoke_log_high_watermark{{{partition}}}") == 10
    assert value(text, f"evoke_log_partition_bytes{{{partition}}}") > 1000
    assert value(text, f'evoke_kafka_group_lag{{group="a%20group",{partition}}}') == 6
    produced = value(text, 'evoke_kafka_requests_total{api="Produce"}')
    assert produced >= 1
    assert value(text, 'evoke_kafka_request_seconds_count{api="Produce"}') == produced
    assert value(text, 'evoke_kafka_request_seconds_bucket{api="Produce",le="+Inf"}') == produced
    assert value(text, 'evoke_kafka_request_seconds_sum{api="Produce"}') > 0
    assert value(text, 'evoke_kafka_request_bytes_total{api="Produce"}') > 1000
    assert value(text, "evoke_kafka_produce_bytes_count") >= 1
    assert value(text, "evoke_log_sync_seconds_count") >= 1
