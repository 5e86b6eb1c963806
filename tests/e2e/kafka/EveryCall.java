// SPDX-License-Identifier: Apache-2.0
// Calls what Java's admin client has for what is served, as it should be and in ways that go wrong, and prints of each
// "<name> <what it came to>": ok, or the name of the error. test_kafka_every_call.py says what Kafka 4.1 answers.
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.ConfigResource.Type;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

public class EveryCall {
    static final TopicPartition A0 = new TopicPartition("a", 0), NOWHERE = new TopicPartition("nowhere", 0);
    static Admin admin;
    static String bootstrap;
    static int node;

    interface Call {
        Object run() throws Exception;
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    static String outcome(Call call) {
        try {
            call.run();
            return "ok";
        } catch (Throwable t) {
            while (t.getCause() != null && t.getClass().getName().startsWith("java.util.concurrent"))
                t = t.getCause();
            return t.getClass().getSimpleName();
        }
    }

    static void call(String name, Call call) {
        System.out.println(name + " " + outcome(call));
    }

    /** One line for each part of the answer: "<name>.<key> ...". */
    static void each(String name, Map<?, ? extends KafkaFuture<?>> parts) {
        var sorted = new TreeMap<String, String>();
        parts.forEach((key, future) -> sorted.put(key instanceof ConfigResource r ? r.name() : key.toString(), outcome(() -> get(future))));
        sorted.forEach((key, outcome) -> System.out.println(name + "." + key.replace(' ', '_') + " " + outcome));
    }

    static Properties properties(String... more) {
        var properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        for (String side : List.of("key", "value")) {
            properties.put(side + ".serializer", "org.apache.kafka.common.serialization.StringSerializer");
            properties.put(side + ".deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        }
        for (int i = 0; i < more.length; i += 2)
            properties.put(more[i], more[i + 1]);
        return properties;
    }

    static void topics() throws Exception {
        var one = List.of(node);
        each("create", admin.createTopics(List.of(new NewTopic("a", 3, (short) 1), new NewTopic("assigned", Map.of(0, one, 1, one)),
            new NewTopic("defaults", Optional.empty(), Optional.empty()).configs(Map.of("cleanup.policy", "compact")), new NewTopic("bad name", 1, (short) 1),
            new NewTopic(".", 1, (short) 1), new NewTopic("l".repeat(250), 1, (short) 1), new NewTopic("two-replicas", 1, (short) 2),
            new NewTopic("no-partitions", 0, (short) 1), new NewTopic("no-such-broker", Map.of(0, List.of(99))), new NewTopic("gap", Map.of(1, one)),
            new NewTopic("unknown-setting", 1, (short) 1).configs(Map.of("no.such", "1")),
            new NewTopic("wrong-setting", 1, (short) 1).configs(Map.of("cleanup.policy", "sometimes")))).values());
        each("create-again", admin.createTopics(List.of(new NewTopic("a", 3, (short) 1))).values());
        each("create-dry", admin.createTopics(List.of(new NewTopic("dry", 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).values());
        Thread.sleep(500); // Kafka's metadata arrive later than its answer
        each("describe", admin.describeTopics(List.of("a", "nowhere", "bad name")).topicNameValues());
        var id = get(admin.describeTopics(List.of("a")).allTopicNames()).get("a").topicId();
        call("describe-by-id", () -> get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds()));
        call("describe-by-unknown-id", () -> get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(new Uuid(5, 6)))).allTopicIds()));
        each("grow", admin.createPartitions(Map.of("a", NewPartitions.increaseTo(4), "assigned", NewPartitions.increaseTo(1),
            "nowhere", NewPartitions.increaseTo(2), "defaults", NewPartitions.increaseTo(2, List.of(List.of(99))))).values());
        each("grow-not", admin.createPartitions(Map.of("a", NewPartitions.increaseTo(4))).values());
    }

    static void alter(String name, Type type, String resource, String key, String value, OpType operation) {
        each(name, admin.incrementalAlterConfigs(Map.of(new ConfigResource(type, resource), List.of(new AlterConfigOp(new ConfigEntry(key, value), operation)))).values());
    }

    static void settings() {
        for (var resource : List.of(new ConfigResource(Type.TOPIC, "a"), new ConfigResource(Type.TOPIC, "nowhere"), new ConfigResource(Type.BROKER, "" + node),
                new ConfigResource(Type.BROKER, ""), new ConfigResource(Type.GROUP, "g"), new ConfigResource(Type.BROKER_LOGGER, "" + node)))
            call("settings-" + resource.type() + "-" + (resource.name().equals("" + node) ? "node" : resource.name()), () -> get(admin.describeConfigs(List.of(resource)).all()));
        alter("set", Type.TOPIC, "a", "retention.ms", "86400000", OpType.SET);
        alter("set-wrong", Type.TOPIC, "a", "retention.ms", "soon", OpType.SET);
        alter("set-null", Type.TOPIC, "a", "retention.ms", null, OpType.SET);
        alter("set-unknown", Type.TOPIC, "a", "no.such", "1", OpType.SET);
        alter("set", Type.TOPIC, "nowhere", "retention.ms", "1", OpType.SET);
        alter("append", Type.TOPIC, "a", "cleanup.policy", "compact", OpType.APPEND);
        alter("append-to-number", Type.TOPIC, "a", "retention.ms", "1", OpType.APPEND);
        alter("subtract", Type.TOPIC, "a", "cleanup.policy", "compact", OpType.SUBTRACT);
        alter("delete", Type.TOPIC, "a", "retention.ms", null, OpType.DELETE);
        alter("delete-unknown", Type.TOPIC, "a", "no.such", null, OpType.DELETE);
        alter("set-group", Type.GROUP, "g", "consumer.session.timeout.ms", "50000", OpType.SET);
        alter("set-group-wrong", Type.GROUP, "g", "consumer.session.timeout.ms", "x", OpType.SET);
        for (var at : List.of("" + node, "")) {
            String where = at.isEmpty() ? "-nodes" : "-node";
            call("set" + where, () -> broker(at, "log.retention.ms", "700000000", OpType.SET));
            call("set-read-only" + where, () -> broker(at, "num.partitions", "5", OpType.SET));
            call("delete" + where, () -> broker(at, "log.retention.ms", null, OpType.DELETE));
            call("delete-unknown" + where, () -> broker(at, "leader.replication.throttled.rate", null, OpType.DELETE));
        }
        call("resources", () -> get(admin.listConfigResources().all()));
        call("resources-of-clients", () -> get(admin.listClientMetricsResources().all()));
    }

    static Object broker(String name, String key, String value, OpType operation) throws Exception {
        var change = Map.of(new ConfigResource(Type.BROKER, name), (Collection<AlterConfigOp>) List.of(new AlterConfigOp(new ConfigEntry(key, value), operation)));
        return get(admin.incrementalAlterConfigs(change).all());
    }

    static void records() throws Exception {
        try (var producer = new KafkaProducer<String, String>(properties())) {
            for (int i = 0; i < 10; i++)
                producer.send(new ProducerRecord<>("a", 0, "k", "v" + i)).get();
        }
        var specs = Map.of("earliest", OffsetSpec.earliest(), "latest", OffsetSpec.latest(), "newest", OffsetSpec.maxTimestamp(),
            "by-time", OffsetSpec.forTimestamp(1), "local", OffsetSpec.earliestLocal(), "tiered", OffsetSpec.latestTiered());
        new TreeMap<>(specs).forEach((name, spec) -> call("offset-" + name, () -> get(admin.listOffsets(Map.of(A0, spec)).all())));
        call("offset-nowhere", () -> get(admin.listOffsets(Map.of(NOWHERE, OffsetSpec.latest())).all()));
        call("delete-records", () -> get(admin.deleteRecords(Map.of(A0, RecordsToDelete.beforeOffset(3))).all()));
        call("delete-records-beyond", () -> get(admin.deleteRecords(Map.of(A0, RecordsToDelete.beforeOffset(33))).all()));
        call("delete-records-compacted", () -> get(admin.deleteRecords(Map.of(new TopicPartition("defaults", 0), RecordsToDelete.beforeOffset(0))).all()));
    }

    static void disks() throws Exception {
        var replica = new TopicPartitionReplica("a", 0, node);
        call("disks", () -> get(admin.describeLogDirs(List.of(node)).allDescriptions()));
        call("replica-disk", () -> get(admin.describeReplicaLogDirs(List.of(replica)).all()));
        var here = get(admin.describeLogDirs(List.of(node)).allDescriptions()).get(node).keySet().iterator().next();
        call("move-to-same-disk", () -> get(admin.alterReplicaLogDirs(Map.of(replica, here)).all()));
        call("move-to-no-disk", () -> get(admin.alterReplicaLogDirs(Map.of(replica, "/nowhere")).all()));
    }

    static void groups() throws Exception {
        try (var classic = new KafkaConsumer<String, String>(properties("group.id", "classic", "group.instance.id", "i1", "auto.offset.reset", "earliest"));
             var next = new KafkaConsumer<String, String>(properties("group.id", "next", "group.protocol", "consumer", "auto.offset.reset", "earliest"))) {
            classic.subscribe(List.of("a"));
            next.subscribe(List.of("a"));
            for (long end = System.currentTimeMillis() + 20000; System.currentTimeMillis() < end && (classic.assignment().isEmpty() || next.assignment().isEmpty());) {
                classic.poll(Duration.ofMillis(100));
                next.poll(Duration.ofMillis(100));
            }
            classic.commitSync();
            next.commitSync();
            call("groups", () -> get(admin.listGroups().all()));
            call("consumer-groups", () -> get(admin.listConsumerGroups().all()));
            each("describe-group", admin.describeConsumerGroups(List.of("classic", "next", "nobody")).describedGroups());
            each("describe-classic-group", admin.describeClassicGroups(List.of("classic", "next", "nobody")).describedGroups());
            call("offsets-of-nobody", () -> get(admin.listConsumerGroupOffsets("nobody").all()));
            for (String group : List.of("classic", "next")) {
                call("set-offset-living-" + group, () -> get(admin.alterConsumerGroupOffsets(group, Map.of(A0, new OffsetAndMetadata(4))).all()));
                call("delete-offset-living-" + group, () -> get(admin.deleteConsumerGroupOffsets(group, Set.of(A0)).all()));
            }
            each("delete-living", admin.deleteConsumerGroups(List.of("classic", "next", "nobody")).deletedGroups());
            call("remove-unknown-member", () -> remove("classic", "i9"));
            call("remove-member", () -> remove("classic", "i1"));
            call("remove-member-of-nobody", () -> remove("nobody", "i1"));
        }
        call("set-offset", () -> get(admin.alterConsumerGroupOffsets("next", Map.of(A0, new OffsetAndMetadata(4))).all()));
        call("set-offset-nowhere", () -> get(admin.alterConsumerGroupOffsets("fresh", Map.of(NOWHERE, new OffsetAndMetadata(1))).all()));
        call("delete-offset", () -> get(admin.deleteConsumerGroupOffsets("next", Set.of(A0)).all()));
        call("delete-offset-of-nobody", () -> get(admin.deleteConsumerGroupOffsets("nobody", Set.of(A0)).all()));
        each("delete-group", admin.deleteConsumerGroups(List.of("next", "nobody")).deletedGroups());
    }

    static Object remove(String group, String instance) throws Exception {
        return get(admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove(instance)))).all());
    }

    static void cluster() throws Exception {
        call("cluster", () -> get(admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true)).authorizedOperations()));
        call("elect", () -> get(admin.electLeaders(ElectionType.PREFERRED, null).all()));
        var elected = get(admin.electLeaders(ElectionType.PREFERRED, Set.of(A0, NOWHERE)).partitions());
        new TreeMap<>(Map.of("a", elected.get(A0), "nowhere", elected.get(NOWHERE))).forEach((name, error) -> System.out.println("elect-" + name + " " + error.get().getClass().getSimpleName()));
        for (var to : List.of(node, 99))
            call("reassign-" + (to == node ? "same" : "other"), () -> get(admin.alterPartitionReassignments(Map.of(A0, Optional.of(new NewPartitionReassignment(List.of(to))))).all()));
        call("reassign-cancel", () -> get(admin.alterPartitionReassignments(Map.of(A0, Optional.empty())).all()));
        call("reassignments", () -> get(admin.listPartitionReassignments().reassignments()));
        call("features", () -> get(admin.describeFeatures().featureMetadata()));
        call("quorum", () -> get(admin.describeMetadataQuorum().quorumInfo()));
        call("users", () -> get(admin.describeUserScramCredentials().all()));
        call("user", () -> get(admin.describeUserScramCredentials(List.of("nobody")).all()));
        call("acls", () -> get(admin.describeAcls(AclBindingFilter.ANY).values()));
        call("share-group", () -> get(admin.describeShareGroups(List.of("nobody")).all()));
        call("streams-group", () -> get(admin.describeStreamsGroups(List.of("nobody")).all()));
    }

    static void quota(String name, String type, String key, double value) {
        var entity = new ClientQuotaEntity(Map.of(type, "1.2.3.4"));
        call(name, () -> get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op(key, value))))).all()));
    }

    static void quotas() {
        quota("quota", "client-id", "producer_byte_rate", 1e6);
        quota("quota-unknown", "client-id", "no_such_rate", 1e6);
        quota("quota-negative", "client-id", "producer_byte_rate", -1);
        quota("quota-of-ip", "ip", "connection_creation_rate", 1);
        for (String type : List.of("client-id", "ip", "color"))
            call("quotas-of-" + type, () -> get(admin.describeClientQuotas(ClientQuotaFilter.containsOnly(List.of(ClientQuotaFilterComponent.ofEntityType(type)))).entities()));
    }

    static void transactions() throws Exception {
        call("producers", () -> get(admin.describeProducers(List.of(A0)).all()));
        try (var producer = new KafkaProducer<String, String>(properties("transactional.id", "t"))) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>("a", 1, "k", "v")).get();
            call("transactions", () -> get(admin.listTransactions().all()));
            call("transactions-pattern", () -> get(admin.listTransactions(new ListTransactionsOptions().filterOnTransactionalIdPattern("(t")).all()));
            call("transaction", () -> get(admin.describeTransactions(List.of("t")).all()));
            call("transaction-of-nobody", () -> get(admin.describeTransactions(List.of("nobody")).all()));
            call("terminate", () -> get(admin.forceTerminateTransaction("t").result()));
            call("commit-terminated", () -> {
                producer.commitTransaction();
                return null;
            });
        }
        call("fence", () -> get(admin.fenceProducers(List.of("t", "fresh")).all()));
        call("telemetry", () -> admin.clientInstanceId(Duration.ofSeconds(5)));
        each("delete-topic", admin.deleteTopics(List.of("a", "nowhere")).topicNameValues());
        call("delete-topic-by-unknown-id", () -> get(admin.deleteTopics(TopicCollection.ofTopicIds(List.of(new Uuid(5, 6)))).all()));
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[1];
        admin = Admin.create(properties());
        node = get(admin.describeCluster().controller()).id();
        topics();
        settings();
        records();
        disks();
        groups();
        cluster();
        quotas();
        transactions();
        System.exit(0);
    }
}
