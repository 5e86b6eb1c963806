// SPDX-License-Identifier: Apache-2.0
// KafkaJS behind the verbs of kafka_clients.py. See there.
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
const types = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }
const [verb, bootstrap, ...rest] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING })

async function produce(prefix, count, ...codecs) {
  const producer = kafka.producer({ idempotent: true })
  await producer.connect()
  for (const codec of codecs) {
    const messages = [...Array(Number(count)).keys()].map(i => (
      { key: `k${i}`, value: `${codec} ${i} ` + 'x'.repeat(100), headers: { n: `${i}` } }))
    await producer.send({ topic: `${prefix}-${codec}`, acks: -1, compression: types[codec], messages })
  }
  await producer.disconnect()
}

async function consume(count, ...topics) {
  const consumer = kafka.consumer({ groupId: `reader-${process.pid}`, sessionTimeout: 6000 })
  let left = count * topics.length
  await consumer.connect()
  await consumer.subscribe({ topics, fromBeginning: true })
  await new Promise(done => consumer.run({ eachMessage: async ({ topic, partition, message }) => {
    const value = message.value.toString().replace(/x+$/, '').trim()
    console.log(topic, partition, message.offset, message.key.toString(), value, message.headers.n.toString())
    if (--left == 0) done()
  } }))
  await consumer.disconnect()
}

async function group(topic, name) {
  const consumer = kafka.consumer({ groupId: name, sessionTimeout: 6000, heartbeatInterval: 500, rebalanceTimeout: 6000 })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
    console.log('assigned', ...(payload.memberAssignment[topic] || []).sort()))
  process.on('SIGTERM', async () => { await consumer.disconnect(); process.exit(0) })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ autoCommitInterval: 100, eachMessage: async ({ partition, message }) =>
    console.log('got', partition, message.offset) })
}

async function seek(topic, ms) {
  const admin = kafka.admin()
  await admin.connect()
  const found = (await admin.fetchTopicOffsetsByTimestamp(topic, Number(ms))).find(({ partition }) => partition == 0)
  await admin.disconnect()
  const consumer = kafka.consumer({ groupId: `seeker-${process.pid}`, sessionTimeout: 6000 })
  await consumer.connect()
  await consumer.subscribe({ topic })
  const first = await new Promise(done => {
    consumer.run({ eachMessage: async ({ message }) => done(message) })
    consumer.seek({ topic, partition: 0, offset: found.offset })
  })
  console.log(first.offset, first.value.toString())
  await consumer.disconnect()
}

({ produce, consume, group, seek })[verb](...rest).then(() => verb != 'group' && process.exit(0), error => {
  console.error(error)
  process.exit(1)
})
