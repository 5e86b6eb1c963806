// SPDX-License-Identifier: Apache-2.0

// franz-go's admin client behind the verb `admin` of kafka_clients.py. See there.
package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func topicSettings(ctx context.Context, admin *kadm.Client, topic string) {
	_, err := admin.CreateTopic(ctx, 2, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, topic)
	must(err)
	grown, err := admin.UpdatePartitions(ctx, 4, topic)
	must(err)
	must(grown.Error())
	change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("1000")}}
	altered, err := admin.AlterTopicConfigs(ctx, change, topic)
	must(err)
	must(altered[0].Err)
	described, err := admin.DescribeTopicConfigs(ctx, topic)
	must(err)
	listed, err := admin.ListTopics(ctx, topic)
	must(err)
	fmt.Println("partitions", len(listed[topic].Partitions))
	for _, config := range described[0].Configs {
		switch config.Key {
		case "cleanup.policy":
			fmt.Println("policy", config.MaybeValue())
		case "retention.ms":
			fmt.Println("retention", config.MaybeValue())
		}
	}
}

func groupsNamed(ctx context.Context, admin *kadm.Client, group string) int {
	groups, err := admin.ListGroups(ctx)
	must(err)
	if _, there := groups[group]; there {
		return 1
	}
	return 0
}

func offsets(ctx context.Context, admin *kadm.Client, filled, group string) {
	deleted, err := admin.DeleteRecords(ctx, kadm.Offsets{filled: {0: {Topic: filled, At: 2}}})
	must(err)
	must(deleted.Error())
	start, err := admin.ListStartOffsets(ctx, filled)
	must(err)
	end, err := admin.ListEndOffsets(ctx, filled)
	must(err)
	committed, err := admin.FetchOffsets(ctx, group)
	must(err)
	fmt.Println("earliest", start[filled][0].Offset)
	fmt.Println("latest", end[filled][0].Offset)
	fmt.Println("groups", groupsNamed(ctx, admin, group))
	fmt.Println("committed", committed[filled][0].At)
}

func connect(bootstrap string) *kadm.Client {
	connection, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	must(err)
	return kadm.NewClient(connection)
}

func administer(bootstrap, topic, filled, group string) {
	ctx := context.Background()
	admin := connect(bootstrap)
	brokers, err := admin.ListBrokers(ctx)
	must(err)
	fmt.Println("nodes", len(brokers))
	topicSettings(ctx, admin, topic)
	offsets(ctx, admin, filled, group)
	_, err = admin.DeleteTopic(ctx, topic)
	must(err)
	_, err = admin.DeleteGroup(ctx, group)
	must(err)
	admin.Close()
	admin = connect(bootstrap) // it remembers topics for a while
	defer admin.Close()
	left := groupsNamed(ctx, admin, group)
	topics, err := admin.ListTopics(ctx)
	must(err)
	if topics.Has(topic) {
		left++
	}
	fmt.Println("left", left)
}
