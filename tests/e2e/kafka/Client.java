// SPDX-License-Identifier: Apache-2.0
// The Java client behind the verbs of kafka_clients.py. See there.
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.WakeupException;

public class Client {
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

    static void produce(String bootstrap, String topic, String codec, int count) throws Exception {
        try (var producer = new KafkaProducer<String, String>(properties(bootstrap, "compression.type", codec, "linger.ms", "20"))) {
            var sent = new ArrayList<Future<?>>();
            for (int i = 0; i < count; i++) {
                var record = new ProducerRecord<>(topic, "k" + i, codec + " " + i + " " + "x".repeat(100));
                record.headers().add("n", ("" + i).getBytes());
                sent.add(producer.send(record));
            }
            for (var future : sent)
                future.get();
        }
    }

    static void show(ConsumerRecord<String, String> record) {
        String header = new String(record.headers().lastHeader("n").value(), StandardCharsets.UTF_8);
        System.out.println(record.topic() + " " + record.partition() + " " + record.offset() + " " + record.key() + " "
            + record.value().replaceAll("x+$", "").trim() + " " + header);
    }

    static void consume(String bootstrap, int count, List<String> topics) {
        try (var consumer = new KafkaConsumer<String, String>(properties(bootstrap, "auto.offset.reset", "earliest"))) {
            var partitions = new ArrayList<TopicPartition>();
            for (var topic : topics)
                consumer.partitionsFor(topic).forEach(p -> partitions.add(new TopicPartition(topic, p.partition())));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            int left = count * topics.size();
            long end = System.currentTimeMillis() + 20000;
            while (left > 0 && System.currentTimeMillis() < end)
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    show(record);
                    left--;
                }
        }
    }

    /** The first record of partition 0 that is not older. */
    static void seek(String bootstrap, String topic, long ms) {
        try (var consumer = new KafkaConsumer<String, String>(properties(bootstrap))) {
            var partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seek(partition, consumer.offsetsForTimes(Map.of(partition, ms)).get(partition).offset());
            for (;;)
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    System.out.println(record.offset() + " " + record.value());
                    return;
                }
        }
    }

    /** A topic that begins with ^ is an expression that the coordinator evaluates: Java 4 only, so by reflection. */
    static void subscribe(KafkaConsumer<String, String> consumer, String topic, ConsumerRebalanceListener listener) throws Exception {
        if (!topic.startsWith("^")) {
            consumer.subscribe(List.of(topic), listener);
            return;
        }
        var type = Class.forName("org.apache.kafka.clients.consumer.SubscriptionPattern");
        var pattern = type.getConstructor(String.class).newInstance(topic);
        consumer.getClass().getMethod("subscribe", type, ConsumerRebalanceListener.class).invoke(consumer, pattern, listener);
    }

    static void show(Set<TopicPartition> owned) {
        var numbers = new TreeSet<Integer>();
        owned.forEach(p -> numbers.add(p.partition()));
        var list = String.join(" ", numbers.stream().map(n -> "" + n).toList());
        System.out.println("owns " + ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now()) + " " + list);
        System.out.println("assigned " + list);
    }

    /** What was polled has been worked on, also when it is to end. */
    static void commit(KafkaConsumer<String, String> consumer) {
        try {
            consumer.commitSync();
        } catch (WakeupException e) {
            commit(consumer);
        } catch (CommitFailedException | RebalanceInProgressException e) { // the next commit covers it
            System.err.println("commit: " + e);
        }
    }

    static void group(String bootstrap, String topic, String name, List<String> settings) throws Exception {
        var properties = properties(bootstrap, "group.id", name, "auto.offset.reset", "earliest", "enable.auto.commit", "false",
            "session.timeout.ms", "6000", "heartbeat.interval.ms", "500", "metadata.max.age.ms", "1000");
        for (var setting : settings)
            properties.put(setting.split("=", 2)[0], setting.split("=", 2)[1]);
        if ("consumer".equals(properties.get("group.protocol"))) { // the coordinator decides these
            properties.remove("session.timeout.ms");
            properties.remove("heartbeat.interval.ms");
        }
        var consumer = new KafkaConsumer<String, String>(properties);
        var thread = Thread.currentThread();
        var ending = new AtomicBoolean();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            ending.set(true);
            consumer.wakeup();
            try {
                thread.join();
            } catch (InterruptedException e) {
            }
        }));
        var owned = new HashSet<TopicPartition>();
        subscribe(consumer, topic, new ConsumerRebalanceListener() {
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                commit(consumer);
                owned.removeAll(partitions);
                show(owned);
            }
            public void onPartitionsLost(Collection<TopicPartition> partitions) {
                owned.removeAll(partitions);
                show(owned);
            }
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                owned.addAll(partitions);
                show(owned);
            }
        });
        try {
            while (!ending.get()) {
                var records = consumer.poll(Duration.ofMillis(200));
                for (var record : records)
                    System.out.println("got " + record.partition() + " " + record.offset());
                if (!records.isEmpty())
                    commit(consumer);
            }
        } catch (WakeupException e) {
        } finally {
            consumer.close();
        }
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "produce" -> {
                for (int i = 4; i < args.length; i++)
                    produce(args[1], args[2] + "-" + args[i], args[i], Integer.parseInt(args[3]));
            }
            case "consume" -> consume(args[1], Integer.parseInt(args[2]), List.of(args).subList(3, args.length));
            case "group" -> {
                group(args[1], args[2], args[3], List.of(args).subList(4, args.length));
                return; // the shutdown hook waits for this thread: an exit from here would never end
            }
            case "seek" -> seek(args[1], args[2], Long.parseLong(args[3]));
        }
        System.exit(0);
    }
}
