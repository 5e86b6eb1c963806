# SPDX-License-Identifier: Apache-2.0
"""confluent-kafka's admin client behind the verb `admin` of kafka_clients.py. See there."""
import sys

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec,
                                   ResourceType)


def only(futures):
    [future] = futures.values()
    return future.result(10)


def topic_settings(admin, topic):
    only(admin.create_topics([NewTopic(topic, 2, config={"cleanup.policy": "compact"})]))
    only(admin.create_partitions([NewPartitions(topic, 4)]))
    only(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[
        ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)])]))
    settings = only(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
    print("partitions", len(admin.list_topics(topic, timeout=10).topics[topic].partitions))
    print("policy", settings["cleanup.policy"].value)
    print("retention", settings["retention.ms"].value)


def offsets(admin, filled, group):
    partition = TopicPartition(filled, 0)
    only(admin.delete_records([TopicPartition(filled, 0, 2)]))
    print("earliest", only(admin.list_offsets({partition: OffsetSpec.earliest()})).offset)
    print("latest", only(admin.list_offsets({partition: OffsetSpec.latest()})).offset)
    print("groups", sum(g.group_id == group for g in admin.list_consumer_groups().result(10).valid))
    print("committed", only(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [partition])])).topic_partitions[0].offset)


def main(_, bootstrap, topic, filled, group):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    print("nodes", len(admin.describe_cluster().result(10).nodes))
    topic_settings(admin, topic)
    offsets(admin, filled, group)
    only(admin.delete_topics([topic]))
    only(admin.delete_consumer_groups([group]))
    print("left", (topic in admin.list_topics(timeout=10).topics) + sum(g.group_id == group for g in admin.list_consumer_groups().result(10).valid))


main(*sys.argv[1:])
