// SPDX-License-Identifier: Apache-2.0
// The Java client behind the verbs of kafka_clients.py that are about transactions, and the administrator's. See there.
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Properties;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

public class Transactions {
    static Properties properties(String bootstrap, String... more) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        for (String side : List.of("key", "value")) {
            properties.put(side + ".serializer", "org.apache.kafka.common.serialization.StringSerializer");
            properties.put(side + ".deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        }
        for (int i = 0; i < more.length; i += 2)
            properties.put(more[i], more[i + 1]);
        return properties;
    }

    static KafkaProducer<String, String> producer(String bootstrap, String id) {
        var producer = new KafkaProducer<String, String>(properties(bootstrap, "transactional.id", id, "linger.ms", "5"));
        producer.initTransactions();
        return producer;
    }

    static void send(KafkaProducer<String, String> producer, String topic, int partition, String value) {
        producer.send(new ProducerRecord<>(topic, partition, null, value));
    }

    static void transact(String bootstrap, String topic, String id) {
        var producer = producer(bootstrap, id);
        for (String word : List.of("first", "aborted", "second")) {
            producer.beginTransaction();
            for (int i = 0; i < 10; i++)
                send(producer, topic, i % 2, word + " " + i);
            producer.flush();
            if (word.equals("aborted"))
                producer.abortTransaction();
            else
                producer.commitTransaction();
        }
        producer.beginTransaction();
        send(producer, topic, 0, "open");
        producer.flush();
    }

    static void read(String bootstrap, List<String> topics) {
        try (var consumer = new KafkaConsumer<String, String>(properties(bootstrap, "isolation.level", "read_committed"))) {
            var partitions = topics.stream().flatMap(topic -> Stream.of(0, 1).map(p -> new TopicPartition(topic, p))).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            var ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p)))
                for (var record : consumer.poll(Duration.ofMillis(500)))
                    System.out.println(record.topic() + " " + record.value());
        }
    }

    static void fence(String bootstrap, String topic, String id) {
        var old = producer(bootstrap, id);
        old.beginTransaction();
        send(old, topic, 0, "of the old one");
        old.flush();
        var next = producer(bootstrap, id);
        try {
            old.commitTransaction();
            System.out.println("committed");
        } catch (ProducerFencedException | InvalidProducerEpochException e) {
            System.out.println("fenced");
        }
        next.beginTransaction();
        send(next, topic, 0, "of the new one");
        next.commitTransaction();
    }

    static void pipe(String bootstrap, String source, String target, String group, String id, int count) {
        var consumer = new KafkaConsumer<String, String>(properties(bootstrap, "group.id", group, "auto.offset.reset", "earliest",
            "enable.auto.commit", "false", "isolation.level", "read_committed", "max.poll.records", "7", "session.timeout.ms", "6000"));
        var producer = producer(bootstrap, id);
        consumer.subscribe(List.of(source));
        for (int done = 0, turn = 0; done < count;) {
            var records = consumer.poll(Duration.ofMillis(500));
            if (records.isEmpty())
                continue;
            var offsets = new HashMap<TopicPartition, OffsetAndMetadata>();
            var first = new HashMap<TopicPartition, Long>();
            producer.beginTransaction();
            for (ConsumerRecord<String, String> record : records) {
                var partition = new TopicPartition(record.topic(), record.partition());
                send(producer, target, record.partition(), record.value() + " done");
                offsets.put(partition, new OffsetAndMetadata(record.offset() + 1));
                first.putIfAbsent(partition, record.offset());
            }
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            if (++turn % 3 == 1) {
                producer.abortTransaction();
                first.forEach(consumer::seek);
            } else {
                producer.commitTransaction();
                done += records.count();
            }
        }
        consumer.close();
    }

    /** What tools show of a transaction that hangs, and how an administrator ends it. */
    static void hanging(String bootstrap, String topic, String id) throws Exception {
        var producer = producer(bootstrap, id);
        producer.beginTransaction();
        send(producer, topic, 1, "hangs");
        producer.flush();
        try (var admin = Admin.create(properties(bootstrap))) {
            var partition = new TopicPartition(topic, 1);
            admin.listTransactions().all().get().stream().filter(t -> t.transactionalId().equals(id)).forEach(t -> System.out.println("listed " + t.state()));
            var described = admin.describeTransactions(List.of(id)).description(id).get();
            System.out.println("described " + described.state() + " " + described.topicPartitions());
            var state = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers().stream()
                .filter(p -> p.currentTransactionStartOffset().isPresent()).findFirst().get();
            System.out.println("since " + state.currentTransactionStartOffset().getAsLong());
            admin.abortTransaction(new AbortTransactionSpec(partition, state.producerId(), (short) state.producerEpoch(), state.coordinatorEpoch().orElse(0))).all().get();
            var after = new ArrayList<String>();
            admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers()
                .forEach(p -> after.add("" + p.currentTransactionStartOffset().isPresent()));
            System.out.println("open " + after);
            admin.fenceProducers(List.of(id)).all().get();
        }
        try {
            producer.commitTransaction();
        } catch (ProducerFencedException | InvalidProducerEpochException e) {
            System.out.println("fenced");
        }
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "transact" -> transact(args[1], args[2], args[3]);
            case "read" -> read(args[1], List.of(args).subList(2, args.length));
            case "fence" -> fence(args[1], args[2], args[3]);
            case "pipe" -> pipe(args[1], args[2], args[3], args[4], args[5], Integer.parseInt(args[6]));
            case "hanging" -> hanging(args[1], args[2], args[3]);
        }
        Runtime.getRuntime().halt(0); // as a process that dies: what is open stays open
    }
}
