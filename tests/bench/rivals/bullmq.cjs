// bullmq: a producer, or a worker whose jobs are nothing, as BullMQ's own documents show them.
//
// usage: node bullmq.cjs REDIS_URL produce|drain|follow|hang JOBS PACKAGES
//
// Says "ready", and for each line on standard input does its part: produce adds so many jobs and says at what ms it
// began; drain says "begun" and works, and whoever started it looks when all is done; follow does all that come and says at
// what ms each begins; hang does not end what it has begun. Milliseconds are those of the machine's monotonic clock.
'use strict'
const { createRequire } = require('node:module')
const [url, role, count, packages] = process.argv.slice(2)
const { Queue, Worker } = createRequire(`${packages}/`)('bullmq')
const { hostname: host, port } = new URL(url)
const connection = { host, port: Number(port), maxRetriesPerRequest: null }
const jobs = Number(count)
const now = () => Number(process.hrtime.bigint()) / 1e6

async function produce () {
  const queue = new Queue('bench', { connection })
  await queue.waitUntilReady()
  return async () => {
    const began = now()
    for (let done = 0; done < jobs; done += 1000) {
      const some = Array.from({ length: Math.min(1000, jobs - done) }, () => ({ name: 'noop', data: {} }))
      await (some.length === 1 ? queue.add('noop', {}) : queue.addBulk(some))
    }
    console.log(began)
  }
}

async function work () {
  const noop = async () => {
    if (role !== 'drain') console.log(now())
    if (role === 'hang') await new Promise(() => {})
  }
  const worker = new Worker('bench', noop, { connection, concurrency: 100, autorun: false })
  worker.on('error', (error) => { console.error(error); process.exit(1) })
  await worker.waitUntilReady()
  return async () => {
    if (role === 'drain') console.log('begun')
    worker.run()
  }
}

(role === 'produce' ? produce() : work()).then((part) => {
  process.stdin.setEncoding('utf8')
  process.stdin.on('data', (text) => { for (const line of text.trim().split('\n')) if (line) part() })
  process.stdin.on('end', () => process.exit(0))
  console.log('ready')
})
