// SPDX-License-Identifier: Apache-2.0
// KafkaJS's admin client behind the verb `admin` of kafka_clients.py. See there.
const { Kafka, ConfigResourceTypes, logLevel } = require('kafkajs')

const [, bootstrap, topic, filled, group] = process.argv.slice(2)
const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin()
const resource = { type: ConfigResourceTypes.TOPIC, name: topic }

async function topicSettings() {
  const kept = { name: 'cleanup.policy', value: 'compact' } // KafkaJS knows only the call that replaces all settings
  await admin.createTopics({ topics: [{ topic, numPartitions: 2, replicationFactor: 1, configEntries: [kept] }] })
  await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
  await admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries: [kept, { name: 'retention.ms', value: '1000' }] }] })
  const { resources: [{ configEntries }] } = await admin.describeConfigs({ includeSynonyms: false, resources: [resource] })
  const valueOf = name => configEntries.find(entry => entry.configName == name).configValue
  const { topics: [described] } = await admin.fetchTopicMetadata({ topics: [topic] })
  console.log('partitions', described.partitions.length)
  console.log('policy', valueOf('cleanup.policy'))
  console.log('retention', valueOf('retention.ms'))
}

async function groups() {
  return (await admin.listGroups()).groups.filter(({ groupId }) => groupId == group).length
}

async function offsets() {
  await admin.fetchTopicOffsets(filled) // KafkaJS deletes records of topics only that it has heard of
  await admin.deleteTopicRecords({ topic: filled, partitions: [{ partition: 0, offset: '2' }] })
  const { low, high } = (await admin.fetchTopicOffsets(filled)).find(({ partition }) => partition == 0)
  console.log('earliest', low)
  console.log('latest', high)
  console.log('groups', await groups())
  const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [filled] })
  console.log('committed', partitions.find(({ partition }) => partition == 0).offset)
}

async function main() {
  await admin.connect()
  console.log('nodes', (await admin.describeCluster()).brokers.length)
  await topicSettings()
  await offsets()
  await admin.deleteTopics({ topics: [topic] })
  await admin.deleteGroups([group])
  console.log('left', (await admin.listTopics()).includes(topic) + await groups())
  await admin.disconnect()
}

main().catch(error => { console.error(error); process.exit(1) })
