// Sending orders one after another. The service may ask to be asked more slowly; then the rest waits here.

import { json, keyEvents, Problem } from "./api.js";
import { $, pause, setText, show } from "./dom.js";
import { wait } from "./format.js";
import * as jobs from "./jobs.js";
import { settle } from "./live.js";
import { ofCode } from "./words.js";

const orders = [];
// The same for every try, also after Stop: an answer that was lost orders nothing twice.
const keys = new Map();
let sending = null;
let back;

// Who is told of each order that comes back: of a refused one also why.
export function start(told) {
  back = told;
  const stop = () => empty().reverse().forEach((order) => back(order));
  $("outbox-stop").addEventListener("click", stop);
  keyEvents.addEventListener("needed", stop);
  keyEvents.addEventListener("leaving", empty);
  addEventListener("beforeunload", (event) => {
    if (orders.length > 0) event.preventDefault();
  });
}

function empty() {
  const left = orders.splice(0);
  sending?.abort();
  say();
  return left;
}

export function send(requests) {
  orders.push(...requests);
  if (sending === null) work();
}

// Not `randomUUID`: only secure pages have that.
const random = () => [...crypto.getRandomValues(new Uint32Array(4))].join("-");

async function work() {
  sending = new AbortController();
  const { signal } = sending;
  try {
    while (orders.length > 0 && !signal.aborted) await first(signal);
  } finally {
    sending = null;
    say();
  }
  if (orders.length > 0) work();
}

async function first(signal) {
  const [body] = orders;
  const name = JSON.stringify(body);
  const key = keys.get(name) ?? random();
  keys.set(name, key);
  try {
    const job = await json("POST", "downloads", { body, headers: { "Idempotency-Key": key }, signal });
    keys.delete(name);
    // told long ago, and its answer lost: what has ended so since then is wanted anew
    if (["failed", "cancelled"].includes(job.status) && jobs.get(job.id)) return;
    jobs.put(job);
    orders.shift();
    settle();
  } catch (problem) {
    if (signal.aborted) return;
    if (!(problem instanceof Problem)) throw problem;
    if (problem.passes) return rest(problem, signal);
    orders.shift();
    back(body, problem);
  }
}

// Counts down, so that nobody thinks that it has stopped.
async function rest({ code, passes }, signal) {
  const why = ofCode(code).title.toLowerCase();
  const end = Date.now() + passes * 1000;
  // once, to who does not see it
  setText($("announcer"), "Links wait to be sent.");
  for (let left = passes; left > 0 && !signal.aborted; left = (end - Date.now()) / 1000) {
    say(left, why);
    await pause(Math.min(1000, left * 1000), signal);
  }
}

function say(left, why) {
  show($("outbox"), orders.length > 0 && left !== undefined);
  if (left === undefined) return;
  const links = orders.length === 1 ? "1 link waits" : `${orders.length} links wait`;
  setText($("outbox-words"), `${links} to be sent: ${why}. The next goes in ${wait(left)}.`);
}
