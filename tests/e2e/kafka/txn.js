// SPDX-License-Identifier: Apache-2.0
// KafkaJS behind the verbs of kafka_clients.py that are about transactions. See there.
const { Kafka, logLevel } = require('kafkajs')
const [verb, bootstrap, ...rest] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING })

async function producerOf(id) {
  const producer = kafka.producer({ idempotent: true, transactionalId: id, maxInFlightRequests: 1 })
  await producer.connect()
  return producer
}

async function transact(topic, id) {
  const producer = await producerOf(id)
  for (const [word, commits] of [['first', true], ['aborted', false], ['second', true]]) {
    const transaction = await producer.transaction()
    await transaction.send({ topic, acks: -1, messages: [...Array(10).keys()].map(i => ({ value: `${word} ${i}`, partition: i % 2 })) })
    await (commits ? transaction.commit() : transaction.abort())
  }
  const transaction = await producer.transaction()
  await transaction.send({ topic, acks: -1, messages: [{ value: 'open', partition: 0 }] })
  process.exit(0)
}

// KafkaJS reads what is committed unless told otherwise; it knows no end, but each topic has 20.
async function read(...topics) {
  const consumer = kafka.consumer({ groupId: `reader-${process.pid}`, sessionTimeout: 6000 })
  let left = 20 * topics.length
  await consumer.connect()
  await consumer.subscribe({ topics, fromBeginning: true })
  await new Promise(done => consumer.run({ eachMessage: async ({ topic, message }) => {
    console.log(topic, message.value.toString())
    if (--left == 0) done()
  } }))
  await consumer.disconnect()
}

async function fence(topic, id) {
  const old = await producerOf(id)
  const first = await old.transaction()
  await first.send({ topic, acks: -1, messages: [{ value: 'of the old one', partition: 0 }] })
  const second = await (await producerOf(id)).transaction()
  try {
    await first.commit()
    console.log('committed')
  } catch (error) {
    console.log(['PRODUCER_FENCED', 'INVALID_PRODUCER_EPOCH'].includes(error.type) ? 'fenced' : error)
  }
  await second.send({ topic, acks: -1, messages: [{ value: 'of the new one', partition: 0 }] })
  await second.commit()
  process.exit(0)
}

async function pipe(source, target, group, id, count) {
  const consumer = kafka.consumer({ groupId: group, sessionTimeout: 6000 })
  const producer = await producerOf(id)
  let done = 0, turn = 0
  await consumer.connect()
  await consumer.subscribe({ topic: source, fromBeginning: true })
  await new Promise(finished => consumer.run({ autoCommit: false, partitionsConsumedConcurrently: 1, eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset }) => {
      const messages = batch.messages.slice(0, 7)
      for (let aborts = ++turn % 3 == 1; messages.length > 0; aborts = false) {
        const transaction = await producer.transaction()
        const last = messages[messages.length - 1].offset
        await transaction.send({ topic: target, acks: -1,
          messages: messages.map(m => ({ value: `${m.value} done`, partition: batch.partition })) })
        await transaction.sendOffsets({ consumerGroupId: group,
          topics: [{ topic: source, partitions: [{ partition: batch.partition, offset: `${BigInt(last) + 1n}` }] }] })
        if (aborts) { await transaction.abort(); continue }
        await transaction.commit()
        resolveOffset(last)
        done += messages.length
        break
      }
      if (done >= count) finished()
    } }))
  await consumer.disconnect()
  process.exit(0)
}

({ transact, read, fence, pipe })[verb](...rest).catch(error => { console.error(error); process.exit(1) })
