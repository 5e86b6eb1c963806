// SPDX-License-Identifier: Apache-2.0

// franz-go behind the verbs of kafka_clients.py. See there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func client(bootstrap string, options ...kgo.Opt) *kgo.Client {
	made, err := kgo.NewClient(append(options, kgo.SeedBrokers(bootstrap), kgo.AllowAutoTopicCreation())...)
	must(err)
	return made
}

func produce(bootstrap, prefix string, count int, names []string) {
	for _, codec := range names {
		producer := client(bootstrap, kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(20*time.Millisecond))
		var records []*kgo.Record
		for i := 0; i < count; i++ {
			records = append(records, &kgo.Record{
				Topic: prefix + "-" + codec, Key: []byte(fmt.Sprintf("k%d", i)),
				Value:   []byte(fmt.Sprintf("%s %d %s", codec, i, strings.Repeat("x", 100))),
				Headers: []kgo.RecordHeader{{Key: "n", Value: []byte(strconv.Itoa(i))}}})
		}
		must(producer.ProduceSync(context.Background(), records...).FirstErr())
		producer.Close()
	}
}

func show(record *kgo.Record) {
	value := strings.TrimSpace(strings.TrimRight(string(record.Value), "x"))
	fmt.Println(record.Topic, record.Partition, record.Offset, string(record.Key), value, string(record.Headers[0].Value))
}

// Every partition of the topics, from the start.
func beginnings(bootstrap string, topics []string) map[string]map[int32]kgo.Offset {
	asking := client(bootstrap)
	defer asking.Close()
	request := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		one := kmsg.NewMetadataRequestTopic()
		one.Topic = kmsg.StringPtr(topic)
		request.Topics = append(request.Topics, one)
	}
	answer, err := request.RequestWith(context.Background(), asking)
	must(err)
	found := map[string]map[int32]kgo.Offset{}
	for _, topic := range answer.Topics {
		found[*topic.Topic] = map[int32]kgo.Offset{}
		for _, partition := range topic.Partitions {
			found[*topic.Topic][partition.Partition] = kgo.NewOffset().AtStart()
		}
	}
	return found
}

func consume(bootstrap string, count int, topics []string) {
	consumer := client(bootstrap, kgo.ConsumePartitions(beginnings(bootstrap, topics)))
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for left := count * len(topics); left > 0; {
		fetches := consumer.PollFetches(ctx)
		must(fetches.Err())
		fetches.EachRecord(show)
		left -= fetches.NumRecords()
	}
}

func partitions(of map[string][]int32) string {
	var numbers []int
	for _, some := range of {
		for _, number := range some {
			numbers = append(numbers, int(number))
		}
	}
	sort.Ints(numbers)
	return strings.Trim(fmt.Sprint(numbers), "[]")
}

func group(bootstrap, topic, name string) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	consumer := client(bootstrap, kgo.ConsumerGroup(name), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(500*time.Millisecond), kgo.Balancers(kgo.RangeBalancer()),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
			fmt.Println("assigned", partitions(assigned))
		}))
	for ctx.Err() == nil {
		fetches := consumer.PollFetches(ctx)
		fetches.EachRecord(func(record *kgo.Record) { fmt.Println("got", record.Partition, record.Offset) })
		if fetches.NumRecords() > 0 {
			must(consumer.CommitRecords(context.Background(), fetches.Records()...))
		}
	}
	consumer.Close()
}

// The first record of partition 0 that is not older.
func seek(bootstrap, topic string, ms int64) {
	consumer := client(bootstrap, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AfterMilli(ms)}}))
	defer consumer.Close()
	fetches := consumer.PollRecords(context.Background(), 1)
	must(fetches.Err())
	for _, record := range fetches.Records() {
		fmt.Println(record.Offset, string(record.Value))
	}
}

func main() {
	arguments := os.Args[2:]
	number := func(text string) int {
		value, err := strconv.Atoi(text)
		must(err)
		return value
	}
	switch os.Args[1] {
	case "produce":
		produce(arguments[0], arguments[1], number(arguments[2]), arguments[3:])
	case "consume":
		consume(arguments[0], number(arguments[1]), arguments[2:])
	case "group":
		group(arguments[0], arguments[1], arguments[2])
	case "seek":
		seek(arguments[0], arguments[1], int64(number(arguments[2])))
	case "admin":
		administer(arguments[0], arguments[1], arguments[2], arguments[3])
	case "transact":
		transact(arguments[0], arguments[1], arguments[2])
	case "read":
		read(arguments[0], arguments[1:])
	case "fence":
		fence(arguments[0], arguments[1], arguments[2])
	case "pipe":
		pipe(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], number(arguments[5]))
	}
}
