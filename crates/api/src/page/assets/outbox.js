// Sending orders one after another. The service may ask to be asked more slowly; then the rest waits here.

import { json, Problem } from "./api.js";
import { $, pause, setText, show } from "./dom.js";
import { wait } from "./format.js";
import * as jobs from "./jobs.js";
import { settle } from "./live.js";

// What will pass: too fast, too full, or away for a moment.
const PASSES = ["rate_limited", "client_queue_full", "queue_full", "service_unavailable", "offline", "timeout"];
const USUAL_WAIT = 5;

let orders = [];
let sending = null;
let failed = () => {};

// `refused` is told of each order that was, `stopped` of the links that were taken back.
export function start(refused, stopped) {
  failed = refused;
  $("outbox-stop").addEventListener("click", () => {
    const left = orders;
    orders = [];
    sending?.abort();
    stopped(left.map(({ url }) => url));
    say();
  });
  addEventListener("beforeunload", (event) => {
    if (orders.length > 0) event.preventDefault();
  });
}

export function send(requests) {
  // the same key for every try: an answer that was lost orders nothing twice
  orders.push(...requests.map((request) => ({ ...request, key: random() })));
  if (sending === null) work();
}

// Not `randomUUID`: only secure pages have that.
const random = () => [...crypto.getRandomValues(new Uint32Array(4))].join("-");

async function work() {
  sending = new AbortController();
  const { signal } = sending;
  while (orders.length > 0) {
    const { key, ...request } = orders[0];
    try {
      jobs.put(await json("POST", "downloads", { body: request, headers: { "Idempotency-Key": key }, signal }));
      orders.shift();
      settle();
    } catch (problem) {
      if (signal.aborted) break;
      if (!(problem instanceof Problem)) throw problem;
      if (PASSES.includes(problem.code)) {
        await rest(problem.wait ?? USUAL_WAIT, signal);
        if (signal.aborted) break;
      } else {
        orders.shift();
        failed(request, problem);
      }
    }
    if (orders.length === 0) say();
  }
  sending = null;
  say();
  if (orders.length > 0) work();
}

// Counts down, so that nobody thinks that it has stopped.
async function rest(seconds, signal) {
  const end = Date.now() + seconds * 1000;
  // once, to who does not see it
  setText($("announcer"), "Links wait to be sent.");
  for (let left = seconds; left > 0 && !signal.aborted; left = (end - Date.now()) / 1000) {
    say(left);
    await pause(Math.min(1000, left * 1000), signal);
  }
}

function say(left) {
  show($("outbox"), orders.length > 0 && left !== undefined);
  if (left === undefined) return;
  const links = orders.length === 1 ? "1 link waits" : `${orders.length} links wait`;
  setText($("outbox-words"), `${links} to be sent: not so many at once. The next goes in ${wait(left)}.`);
}
