# SPDX-License-Identifier: Apache-2.0
"""Topics and settings by the admin clients of librdkafka, kafka-python and Java, and what they are refused."""
import pytest
from confluent_kafka import KafkaException, Consumer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   ResourceType)

import kafka_clients


@pytest.fixture(scope="module")
def admin(evoke):
    return AdminClient({"bootstrap.servers": evoke.kafka})


def create(admin, topic, partitions=2, **options):
    admin.create_topics([NewTopic(topic, partitions, **options)])[topic].result(10)


def configs(admin, topic):
    resource = ConfigResource(ResourceType.TOPIC, topic)
    return admin.describe_configs([resource])[resource].result(10)


def refused(error, call):
    with pytest.raises(KafkaException) as caught:
        call()
    assert caught.value.args[0].name() == error, caught.value


def test_a_topic_is_created_described_grown_and_deleted(admin):
    create(admin, "life", 2, config={"cleanup.policy": "compact", "segment.bytes": "1048576"})
    assert len(admin.list_topics("life", timeout=10).topics["life"].partitions) == 2
    got = configs(admin, "life")
    assert (got["cleanup.policy"].value, got["cleanup.policy"].source) == ("compact", 1)
    assert (got["retention.ms"].value, got["retention.ms"].source) == ("604800000", 5)
    admin.create_partitions([NewPartitions("life", 5)])["life"].result(10)
    assert len(admin.list_topics("life", timeout=10).topics["life"].partitions) == 5
    admin.delete_topics(["life"])["life"].result(10)
    assert "life" not in admin.list_topics(timeout=10).topics


def test_settings_change_one_by_one(admin):
    create(admin, "settings", config={"retention.ms": "1000"})
    def alter(name, value, operation):
        resource = ConfigResource(ResourceType.TOPIC, "settings", incremental_configs=[
            ConfigEntry(name, value, incremental_operation=operation)])
        admin.incremental_alter_configs([resource])[resource].result(10)
    alter("segment.ms", "5000", AlterConfigOpType.SET)
    alter("cleanup.policy", "compact", AlterConfigOpType.APPEND)
    got = configs(admin, "settings")
    assert got["retention.ms"].value == "1000" and got["segment.ms"].value == "5000"
    assert got["cleanup.policy"].value == "delete,compact"
    alter("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT)
    alter("retention.ms", None, AlterConfigOpType.DELETE)
    got = configs(admin, "settings")
    assert got["cleanup.policy"].value == "compact" and got["retention.ms"].source == 5
    refused("INVALID_CONFIG", lambda: alter("segment.ms", "soon", AlterConfigOpType.SET))


def test_what_cannot_be_is_refused_with_the_right_error(admin):
    create(admin, "there")
    refused("TOPIC_ALREADY_EXISTS", lambda: create(admin, "there"))
    refused("TOPIC_EXCEPTION", lambda: create(admin, "no spaces"))
    refused("INVALID_REPLICATION_FACTOR", lambda: create(admin, "three", replication_factor=3))
    refused("INVALID_PARTITIONS", lambda: create(admin, "many", 50000))
    refused("INVALID_CONFIG", lambda: create(admin, "odd", config={"cleanup.policy": "sometimes"}))
    refused("INVALID_CONFIG", lambda: create(admin, "odd", config={"no.such.setting": "1"}))
    refused("UNKNOWN_TOPIC_OR_PART", lambda: admin.delete_topics(["nowhere"])["nowhere"].result(10))
    refused("INVALID_PARTITIONS", lambda: admin.create_partitions([NewPartitions("there", 1)])["there"].result(10))
    refused("UNKNOWN_TOPIC_OR_PART", lambda: configs(admin, "nowhere"))
    assert "odd" not in admin.list_topics(timeout=10).topics


def test_settings_that_would_promise_what_is_not_done_are_refused(admin):
    create(admin, "honest", config={"max.compaction.lag.ms": "60000"})
    def alter(name, value, **options):
        resource = ConfigResource(ResourceType.TOPIC, "honest", incremental_configs=[
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)])
        admin.incremental_alter_configs([resource], **options)[resource].result(10)
    for name, value in [("remote.storage.enable", "true"), ("message.format.version", "3.0-IV1"),
                        ("compression.gzip.level", "0"), ("leader.replication.throttled.replicas", "all")]:
        refused("INVALID_CONFIG", lambda: create(admin, "dishonest", config={name: value}))
        refused("INVALID_CONFIG", lambda: alter(name, value))
    refused("INVALID_CONFIG", lambda: alter("min.compaction.lag.ms", "60001"))
    refused("INVALID_CONFIG", lambda: alter("min.compaction.lag.ms", "60001", validate_only=True))
    alter("min.compaction.lag.ms", "60000", validate_only=True)
    assert configs(admin, "honest")["min.compaction.lag.ms"].value == "0"
    alter("leader.replication.throttled.replicas", "0:0,1:0")


def test_validation_alone_changes_nothing(admin):
    admin.create_topics([NewTopic("dry", 1)], validate_only=True)["dry"].result(10)
    assert "dry" not in admin.list_topics(timeout=10).topics


def test_offsets_are_found_by_time(admin, evoke):
    create(admin, "timed", 1)
    from confluent_kafka import Producer
    producer = Producer({"bootstrap.servers": evoke.kafka})
    for i in range(10):
        producer.produce("timed", f"{i}", timestamp=1_700_000_000_000 + 1000 * i)
    assert producer.flush(10) == 0
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": "unused"})
    at = lambda ms: consumer.offsets_for_times([TopicPartition("timed", 0, ms)], timeout=10)[0].offset
    assert at(1_700_000_004_500) == 5 and at(0) == 0
    assert at(1_800_000_000_000) == -1  # none: librdkafka's OFFSET_END
    assert consumer.get_watermark_offsets(TopicPartition("timed", 0), timeout=10) == (0, 10)
    consumer.close()


def test_the_java_admin_client_sees_a_cluster_of_one_node(new_evoke, clients):
    evoke = new_evoke()
    evoke.start()
    out = dict(line.split(" ", 1) for line in kafka_clients.run(clients, "java", "node", evoke.kafka, "java-node").splitlines())
    assert out == {"replicas": "2", "space": "true", "elected": "ElectionNotNeededException", "reassigning": "0",
                   "leader": "0", "retention.ms": "77777 DYNAMIC_BROKER_CONFIG",
                   "quotas": "{producer_byte_rate=1048576.0}"}


def test_kafka_python_sees_a_cluster_of_one_node(evoke, clients):
    import subprocess
    code = """
import sys
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
admin = KafkaAdminClient(bootstrap_servers=sys.argv[1])
admin.create_topics([NewTopic("python-node", 3, 1)])
partition = TopicPartition("python-node", 0)
dirs = admin.describe_log_dirs({"python-node": [0, 1, 2]})[0]["log_dirs"]
assert len(dirs[0]["topics"][0]["partitions"]) == 3, dirs
assert admin.alter_partition_reassignments({partition: [0]}) == {partition: None}
assert admin.list_partition_reassignments() == {}
moved = admin.alter_replica_log_dirs({("python-node", 0, 0): "/nowhere"})
assert "LogDirNotFound" in str(moved), moved
assert admin.describe_metadata_quorum()["topics"][0]["partitions"][0]["leader_id"] == 0
page = admin.describe_topic_partitions(["python-node"], response_partition_limit=2)
assert len(page["topics"][0]["partitions"]) == 2, page
assert page["next_cursor"]["partition_index"] == 2, page
assert "python-node" in admin.list_config_resources()["topic"]
"""
    subprocess.run([str(clients / "venv/bin/python"), "-c", code, evoke.kafka], check=True, timeout=60)


def test_kcat_lists_what_there_is(evoke):
    kafka_clients.kcat(evoke.kafka, "-P", "-t", "listed", stdin="one\n")
    out = kafka_clients.kcat(evoke.kafka, "-L")
    assert f"broker 0 at {evoke.kafka} (controller)" in out
    assert 'topic "listed"' in out and 'topic "__consumer_offsets"' in out
