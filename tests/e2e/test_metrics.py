# SPDX-License-Identifier: Apache-2.0
"""What /metrics tells: all of it is documented, the dashboard asks for nothing else, and the numbers are true."""
import json
import pathlib
import re

import requests
from confluent_kafka import Consumer, Producer, TopicPartition

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def scrape(evoke):
    return requests.get(f"http://{evoke.admin}/metrics", timeout=5).text


def families(text):
    """Name -> type."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


def value(text, sample):
    found = re.findall(rf"^{re.escape(sample)} (\S+)$", text, re.M)
    assert found, f"no sample {sample}"
    return float(found[0])


def test_every_metric_is_documented_with_its_type_and_every_documented_one_is_there(evoke):
    documented = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", (SOURCE / "docs/metrics.md").read_text(), re.M))
    assert documented == families(scrape(evoke))


def names_in(expression):
    return re.findall(r"\b([a-z_]+)\{", expression)


def test_the_dashboard_asks_for_metrics_that_are_there(evoke):
    dashboard = json.loads((SOURCE / "examples/grafana/evoke.json").read_text())
    known = families(scrape(evoke))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    asked = {name for expression in expressions for name in names_in(expression)}
    assert len(expressions) > 30 and all(names_in(expression) for expression in expressions)
    for variable in dashboard["templating"]["list"]:
        asked.update(re.findall(r"label_values\((\w+),", str(variable["query"])))
    for name in sorted(asked):
        family = re.sub(r"_bucket$", "", name)
        assert family in known, f"the dashboard asks for {name}, which is not exposed"
        assert (family != name) == (known[family] == "histogram"), name


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
