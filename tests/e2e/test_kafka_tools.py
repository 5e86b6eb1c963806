# SPDX-License-Identifier: Apache-2.0
"""The commands that come with Apache Kafka 4.1 (kafka-topics.sh and its like), as people and their scripts run them."""
import json
import re
import subprocess

import pytest

import kafka_clients

TOOLS = "org.apache.kafka.tools."
COMMANDS = {"topics": TOOLS + "TopicCommand", "groups": TOOLS + "consumer.group.ConsumerGroupCommand", "configs": "kafka.admin.ConfigCommand",
            "producer": TOOLS + "ConsoleProducer", "consumer": TOOLS + "consumer.ConsoleConsumer", "offsets": TOOLS + "GetOffsetShell",
            "reassign": TOOLS + "reassign.ReassignPartitionsCommand", "disks": TOOLS + "LogDirsCommand", "cluster": TOOLS + "ClusterTool",
            "features": TOOLS + "FeatureCommand", "quorum": TOOLS + "MetadataQuorumCommand", "transactions": TOOLS + "TransactionsCommand",
            "delete-records": TOOLS + "DeleteRecordsCommand", "elect": TOOLS + "LeaderElectionCommand", "versions": TOOLS + "BrokerApiVersionsCommand",
            "reset": TOOLS + "StreamsResetter"}


@pytest.fixture(scope="module")
def run(evoke, clients):
    """Runs lines of <command> <arguments>, and gives what each printed; each is to end with 0."""
    def call(*lines):
        text = ""
        for line in lines:
            command, rest = line.split(" ", 1)
            where = f"--bootstrap-server {evoke.kafka}"  # the tools with verbs want it behind them
            text += f"{COMMANDS[command]} {rest.replace('@', where, 1) if '@' in rest else f'{where} {rest}'}\n"
        java = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{clients}/tools/jars/*", kafka_clients.HERE / "Tools.java"]
        done = subprocess.run(java, input=text, capture_output=True, text=True, timeout=300)
        outputs = re.split(r"\nexit (\d+)\n", done.stdout)
        told = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert done.returncode == 0 and outputs[1::2] == ["0"] * len(lines), told
        return outputs[0:-1:2]
    return call


def words(text):
    """The words of each line."""
    return [line.split() for line in text.splitlines()]


def test_topics_are_made_filled_read_and_deleted(run):
    made, _, listed, described, _, _, read, ends, starts, deleted, left = run(
        "topics --create --topic shop --partitions 2 --config retention.ms=86400000", "topics --create --topic shop --if-not-exists",
        "topics --list", "topics --describe --topic shop", "topics --alter --topic shop --partitions 3",
        "producer --topic shop --property parse.key=true --property key.separator=: --compression-codec zstd <<< k:1|k:2|k:3",
        "consumer --topic shop --group shoppers --from-beginning --max-messages 3 --property print.key=true",
        "offsets --topic shop", "offsets --topic shop --time earliest", "topics --delete --topic shop", "topics --list --exclude-internal")
    assert made == "Created topic shop.\n" and {"shop", "__consumer_offsets"} <= set(listed.split()) and "shop" not in left.split()
    assert "PartitionCount: 2\tReplicationFactor: 1\tConfigs: retention.ms=86400000" in described and deleted == ""
    assert read == "k\t1\nk\t2\nk\t3\n"
    assert sum(int(line.split(":")[2]) for line in ends.split()) == 3 and starts == "shop:0:0\nshop:1:0\nshop:2:0\n"


def test_a_group_is_listed_described_reset_and_deleted(run, evoke):
    kafka_clients.kcat(evoke.kafka, "-P", "-t", "grouped", "-p", 0, stdin="1\n2\n3\n")
    read, listed, described, state, dry, _, again, offsets, _, left = run(
        "consumer --topic grouped --group g --from-beginning --max-messages 3", "groups --list", "groups --describe --group g",
        "groups --describe --group g --state", "groups --group g --reset-offsets --to-earliest --topic grouped --dry-run",
        "groups --group g --reset-offsets --shift-by -1 --all-topics --execute", "consumer --topic grouped --group g --max-messages 1",
        "groups --group g --delete-offsets --topic grouped", "groups --group g --delete", "groups --list")
    assert read == "1\n2\n3\n" and again == "3\n"
    assert "g" in listed.split() and "g" not in left.split()
    assert ["g", "grouped", "0", "3", "3", "0", "-", "-", "-"] in words(described) and ["0"] == words(state)[-1][-1:]
    assert ["g", "grouped", "0", "0"] in words(dry) and "Successful" in offsets


def test_settings_and_quotas_are_set_and_shown(run, evoke):
    kafka_clients.kcat(evoke.kafka, "-P", "-t", "set", stdin="1\n")
    _, topic, _, all_nodes, _, _, client, users, ips, _, group = run(
        "configs --entity-type topics --entity-name set --alter --add-config retention.ms=1000000,cleanup.policy=[compact,delete]",
        "configs --entity-type topics --entity-name set --describe",
        "configs --entity-type brokers --entity-default --alter --add-config log.retention.ms=700000000",
        "configs --entity-type brokers --entity-default --describe",
        "configs --entity-type brokers --entity-default --alter --delete-config log.retention.ms",
        "configs --entity-type clients --entity-name c --alter --add-config producer_byte_rate=1000000",
        "configs --entity-type clients --describe", "configs --entity-type users --describe", "configs --entity-type ips --describe",
        "configs --entity-type groups --entity-name g --alter --add-config consumer.session.timeout.ms=50000",
        "configs --entity-type groups --entity-name g --describe")
    assert "cleanup.policy=compact,delete" in topic and "retention.ms=1000000" in topic and "log.retention.ms=700000000" in all_nodes
    assert client == "Quota configs for client-id 'c' are producer_byte_rate=1000000.0\n" and users == ips == ""
    assert "consumer.session.timeout.ms=50000" in group


def test_what_there_is_to_know_of_one_node_is_told(run, evoke, tmp_path):
    kafka_clients.kcat(evoke.kafka, "-P", "-t", "moved", "-p", 0, stdin="1\n2\n3\n")
    (tmp_path / "moves").write_text(json.dumps({"version": 1, "partitions": [{"topic": "moved", "partition": 0, "replicas": [0]}]}))
    (tmp_path / "deleted").write_text(json.dumps({"version": 1, "partitions": [{"topic": "moved", "partition": 0, "offset": 2}]}))
    moving, _, verified, disks, _, features, quorum, transactions, deleted, _, versions, _ = run(
        "reassign --list", f"reassign --execute --reassignment-json-file {tmp_path}/moves", f"reassign --verify --reassignment-json-file {tmp_path}/moves",
        "disks --describe --topic-list moved", "cluster cluster-id @", "features @ describe", "quorum @ describe --status", "transactions @ list",
        f"delete-records --offset-json-file {tmp_path}/deleted", "elect --election-type preferred --all-topic-partitions", "versions @",
        "reset --application-id app --input-topics moved --dry-run")
    assert moving == "No partition reassignments found.\n" and "Reassignment of partition moved-0 is completed." in verified
    assert '"partition":"moved-0"' in disks and "transaction.version" in features and "LeaderId:               0" in quorum
    assert transactions.split()[0] == "TransactionalId" and "low_watermark: 2" in deleted and "Fetch(1): 4 to 18" in versions


def test_the_internal_topics_are_read_by_kafkas_formatters(run, evoke):
    from confluent_kafka import Consumer, Producer, TopicPartition
    producer = Producer({"bootstrap.servers": evoke.kafka, "transactional.id": "formatted"})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce("formatted", "1", partition=0)
    producer.commit_transaction(20)
    run("consumer --topic formatted --group readers --from-beginning --max-messages 1")
    consumer = Consumer({"bootstrap.servers": evoke.kafka, "group.id": "formatted"})
    consumer.commit(offsets=[TopicPartition("formatted", 0, 1)], asynchronous=False)

    def all_of(topic, formatter):
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
        return (f"consumer --topic {topic} --partition 0 --offset earliest --max-messages {end} --timeout-ms 20000 "
                f"--formatter {TOOLS}consumer.{formatter}")
    offsets, groups, transactions = run(all_of("__consumer_offsets", "OffsetsMessageFormatter"),
                                        all_of("__consumer_offsets", "GroupMetadataMessageFormatter"),
                                        all_of("__transaction_state", "TransactionLogMessageFormatter"))
    consumer.close()
    assert '{"key":{"type":1,"data":{"group":"formatted","topic":"formatted","partition":0}},"value":{"version":3,"data":{"offset":1,' in offsets
    assert '"transactionalId":"formatted"' in transactions and '{"key":{"type":2,"data":{"group":"readers"}}' in groups
