# SPDX-License-Identifier: Apache-2.0
"""kafka-python's admin clients, 2.0.2 and 3, behind the verb `admin` of kafka_clients.py; they have few calls in common."""
import sys

import kafka
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic

OLD = kafka.__version__.startswith("2.")


def value_in(described, name):
    """Of the answers as they come (2.0.2), or of what 3 makes of them."""
    if OLD:
        return {entry[0]: entry[1] for answer in described for resource in answer.resources for entry in resource[4]}[name]
    [settings] = described["topic"].values()
    setting = settings[name]
    return setting["value"] if isinstance(setting, dict) else setting


def topic_settings(admin, topic):
    admin.create_topics([NewTopic(topic, 2, 1, topic_configs={"cleanup.policy": "compact"})])
    admin.create_partitions({topic: NewPartitions(4)})
    # 2.0.2 knows only the call that replaces all settings
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "1000", "cleanup.policy": "compact"})])
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    print("partitions", len(admin.describe_topics([topic])[0]["partitions"]))
    print("policy", value_in(described, "cleanup.policy"))
    print("retention", value_in(described, "retention.ms"))


def groups(admin):
    if OLD:
        return [name for name, _ in admin.list_consumer_groups()]
    return [group["group_id"] for group in admin.list_groups()]


def offsets(admin, bootstrap, filled, group):
    partition = TopicPartition(filled, 0)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    if not OLD:
        admin.delete_records({partition: 2})
        print("earliest", consumer.beginning_offsets([partition])[partition])
    print("latest", consumer.end_offsets([partition])[partition])
    consumer.close()
    print("groups", groups(admin).count(group))
    committed = admin.list_consumer_group_offsets(group) if OLD else admin.list_group_offsets({group: [partition]})[group]
    print("committed", committed[partition].offset)


def main(_, bootstrap, topic, filled, group):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    print("nodes", len(admin.describe_cluster()["brokers"]))
    topic_settings(admin, topic)
    offsets(admin, bootstrap, filled, group)
    admin.delete_topics([topic])
    (admin.delete_consumer_groups if OLD else admin.delete_groups)([group])
    print("left", (topic in admin.list_topics()) + groups(admin).count(group))


main(*sys.argv[1:])
