// SPDX-License-Identifier: Apache-2.0
// Java's admin client behind the verbs `admin` and `node` of kafka_clients.py. See there.
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;

public class Administrator {
    static Admin connect(String bootstrap) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        return Admin.create(properties);
    }

    static void topicSettings(Admin admin, String topic) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1).configs(Map.of("cleanup.policy", "compact")))).all().get();
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        var change = new AlterConfigOp(new ConfigEntry("retention.ms", "1000"), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
        var config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        System.out.println("partitions " + admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size());
        System.out.println("policy " + config.get("cleanup.policy").value());
        System.out.println("retention " + config.get("retention.ms").value());
    }

    static long groups(Admin admin, String group) throws Exception {
        return admin.listConsumerGroups().all().get().stream().filter(g -> g.groupId().equals(group)).count();
    }

    static long offset(Admin admin, TopicPartition partition, OffsetSpec which) throws Exception {
        return admin.listOffsets(Map.of(partition, which)).partitionResult(partition).get().offset();
    }

    static void offsets(Admin admin, String filled, String group) throws Exception {
        var partition = new TopicPartition(filled, 0);
        admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(2))).all().get();
        System.out.println("earliest " + offset(admin, partition, OffsetSpec.earliest()));
        System.out.println("latest " + offset(admin, partition, OffsetSpec.latest()));
        System.out.println("groups " + groups(admin, group));
        System.out.println("committed " + admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition).offset());
    }

    static void admin(String bootstrap, String topic, String filled, String group) throws Exception {
        try (var admin = connect(bootstrap)) {
            System.out.println("nodes " + admin.describeCluster().nodes().get().size());
            topicSettings(admin, topic);
            offsets(admin, filled, group);
            admin.deleteTopics(List.of(topic)).all().get();
            admin.deleteConsumerGroups(List.of(group)).all().get();
            System.out.println("left " + ((admin.listTopics().names().get().contains(topic) ? 1 : 0) + groups(admin, group)));
        }
    }

    /** What there is to know and to set of a cluster of one node. */
    static void node(String bootstrap, String topic) throws Exception {
        try (var admin = connect(bootstrap)) {
            admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1))).all().get();
            var partition = new TopicPartition(topic, 0);
            var dir = admin.describeLogDirs(List.of(0)).allDescriptions().get().get(0).values().iterator().next();
            System.out.println("replicas " + dir.replicaInfos().keySet().stream().filter(p -> p.topic().equals(topic)).count());
            System.out.println("space " + (dir.totalBytes().getAsLong() > 0));
            var elected = admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get().get(partition);
            System.out.println("elected " + elected.get().getClass().getSimpleName());
            admin.alterPartitionReassignments(Map.of(partition, Optional.of(new NewPartitionReassignment(List.of(0))))).all().get();
            System.out.println("reassigning " + admin.listPartitionReassignments().reassignments().get().size());
            System.out.println("leader " + admin.describeMetadataQuorum().quorumInfo().get().leaderId());
            var broker = new ConfigResource(ConfigResource.Type.BROKER, "0");
            var change = new AlterConfigOp(new ConfigEntry("log.retention.ms", "77777"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(broker, List.of(change))).all().get();
            var config = admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.TOPIC, topic))).all().get();
            var retention = config.values().iterator().next().get("retention.ms");
            System.out.println("retention.ms " + retention.value() + " " + retention.source());
            var client = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, "shop"));
            var quota = new ClientQuotaAlteration.Op("producer_byte_rate", 1048576.0);
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(client, List.of(quota)))).all().get();
            System.out.println("quotas " + admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().get(client));
        }
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "admin" -> admin(args[1], args[2], args[3], args[4]);
            case "node" -> node(args[1], args[2]);
        }
        System.exit(0);
    }
}
