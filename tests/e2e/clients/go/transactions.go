// SPDX-License-Identifier: Apache-2.0

// franz-go behind the verbs of kafka_clients.py that are about transactions. See there.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func transactional(bootstrap, id string, options ...kgo.Opt) *kgo.Client {
	return client(bootstrap, append(options, kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
}

func send(ctx context.Context, producer *kgo.Client, topic string, partition int, value string) {
	must(producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: int32(partition), Value: []byte(value)}).FirstErr())
}

func transact(bootstrap, topic, id string) {
	ctx := context.Background()
	producer := transactional(bootstrap, id)
	for _, word := range []string{"first", "aborted", "second"} {
		must(producer.BeginTransaction())
		for i := 0; i < 10; i++ {
			send(ctx, producer, topic, i%2, fmt.Sprintf("%s %d", word, i))
		}
		must(producer.EndTransaction(ctx, kgo.TransactionEndTry(word != "aborted")))
	}
	must(producer.BeginTransaction())
	send(ctx, producer, topic, 0, "open")
}

// franz-go tells nobody of a partition's end: who has heard nothing for a while has read all.
func read(bootstrap string, topics []string) {
	consumer := client(bootstrap, kgo.ConsumePartitions(beginnings(bootstrap, topics)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(200*time.Millisecond))
	defer consumer.Close()
	for silent := 0; silent < 5; {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		fetches := consumer.PollFetches(ctx)
		cancel()
		fetches.EachRecord(func(record *kgo.Record) { fmt.Println(record.Topic, string(record.Value)) })
		if fetches.NumRecords() == 0 {
			silent++
		}
	}
}

func fence(bootstrap, topic, id string) {
	ctx := context.Background()
	old := transactional(bootstrap, id)
	must(old.BeginTransaction())
	send(ctx, old, topic, 0, "of the old one")
	next := transactional(bootstrap, id)
	must(next.BeginTransaction())
	send(ctx, next, topic, 0, "of the new one")
	err := old.EndTransaction(ctx, kgo.TryCommit)
	switch {
	case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.InvalidProducerEpoch):
		fmt.Println("fenced")
	case err == nil:
		fmt.Println("committed")
	default:
		fmt.Println(err)
	}
	must(next.EndTransaction(ctx, kgo.TryCommit))
}

func pipe(bootstrap, source, target, group, id string, count int) {
	ctx := context.Background()
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(bootstrap), kgo.TransactionalID(id),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ConsumerGroup(group), kgo.ConsumeTopics(source),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(6*time.Second), kgo.RequireStableFetchOffsets())
	must(err)
	for done, turn := 0, 0; done < count; {
		fetches := session.PollRecords(ctx, 7)
		must(fetches.Err())
		if fetches.NumRecords() == 0 {
			continue
		}
		turn++
		must(session.Begin())
		fetches.EachRecord(func(record *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Topic: target, Partition: record.Partition, Value: append(record.Value, " done"...)}, nil)
		})
		must(session.Client().Flush(ctx))
		// An abort sets the session back to what was committed.
		committed, err := session.End(ctx, kgo.TransactionEndTry(turn%3 != 1))
		must(err)
		if committed {
			done += fetches.NumRecords()
		}
	}
	session.Close()
}
