// bullmq: a producer, or a worker whose jobs are nothing, as BullMQ's own documents show them.
//
// usage: node bullmq.cjs PACKAGES REDIS_URL produce|drain|follow JOBS
//
// Says "ready", and for each line on standard input does its part: produce adds so many jobs and says at what ms it
// began; drain does so many and says in how many seconds; follow does all that come and says at what ms each begins.
// Milliseconds are those of the machine's monotonic clock.
'use strict'
const { createRequire } = require('node:module')
const [packages, url, role, count] = process.argv.slice(2)
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
  let [done, began] = [0, 0]
  const noop = async () => { if (role === 'follow') console.log(now()) }
  const worker = new Worker('bench', noop, { connection, concurrency: 100, autorun: false })
  worker.on('completed', () => {
    done += 1
    if (role === 'drain' && done === jobs) console.log((now() - began) / 1e3)
  })
  worker.on('error', (error) => { console.error(error); process.exit(1) })
  await worker.waitUntilReady()
  return async () => { began = now(); worker.run() }
}

(role === 'produce' ? produce() : work()).then((part) => {
  process.stdin.setEncoding('utf8')
  process.stdin.on('data', (text) => { for (const line of text.trim().split('\n')) if (line) part() })
  process.stdin.on('end', () => process.exit(0))
  console.log('ready')
})
