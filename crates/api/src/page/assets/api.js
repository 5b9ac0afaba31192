// Talking to the API: where it is, the key, and refusals as errors.

import { recall, remember } from "./prefs.js";

// Beside this page, wherever a proxy has put both.
const BASE = new URL("../", import.meta.url);
const API = "api/v1/";

const { keys, lists, stats } = document.documentElement.dataset;
let key = recall("key");

// What this service is, as its page says.
export const service = { wantsKey: keys === "true", lists: lists === "true", stats: stats === "true" };

// Without a code nobody answered, or a proxy did.
const BARE = { 0: "offline", 429: "rate_limited", 502: "offline", 503: "offline", 504: "offline" };
// What will pass: too fast, too full, or away for a moment.
const PASSES = ["rate_limited", "client_queue_full", "queue_full", "service_unavailable", "offline", "timeout"];
const USUAL_WAIT = 5;
// Milliseconds; the service takes 75 s at most.
const LONGEST = 90_000;

export class Problem extends Error {
  constructor(status, body, wait) {
    super(body?.detail ?? "The service does not answer.");
    this.status = status;
    this.code = body?.code ?? BARE[status] ?? "internal";
    this.faults = body?.errors ?? [];
    // in seconds
    this.wait = body?.retry_after ?? wait;
    // in how many seconds to try again; null: never
    this.passes = PASSES.includes(this.code) ? this.wait || USUAL_WAIT : null;
  }

  faultOf(field) {
    return this.faults.find(({ pointer }) => pointer === `/${field}` || pointer.startsWith(`/${field}/`))?.detail;
  }
}

export const hasKey = () => key !== null;

// Tells who listens that a key is needed, was taken, or is about to be forgotten.
export const keyEvents = new EventTarget();

export function useKey(text) {
  if (text === null) keyEvents.dispatchEvent(new Event("leaving"));
  key = text;
  remember("key", text);
  keyEvents.dispatchEvent(new Event(text === null ? "needed" : "taken"));
}

export function address(path) {
  return new URL(API + path, BASE);
}

// The answer to a request, whatever its status; a Problem when there is none, or it is a refusal.
export async function ask(method, path, { body, headers = {}, ...rest } = {}) {
  const sent = { ...headers };
  const asked = key;
  if (service.wantsKey && asked !== null) sent.Authorization = `Bearer ${asked}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address(path), {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      ...rest,
    });
  } catch (error) {
    throw rest.signal?.aborted ? error : new Problem(0);
  }
  if (answer.ok || answer.status === 304) return answer;
  const problem = new Problem(answer.status, await answer.json().catch(() => null), seconds(answer));
  if (problem.status === 401 && asked === key) {
    key = null;
    keyEvents.dispatchEvent(new Event("needed"));
  }
  throw problem;
}

// What the answer brings; null: nothing. There is a Problem, too, when it takes too long.
export async function json(method, path, options = {}, as = "json") {
  const asked = key;
  const { signal } = options;
  const late = AbortSignal.timeout(LONGEST);
  // browsers of 2023 have no `any`
  const either = signal ? (AbortSignal.any?.([signal, late]) ?? signal) : late;
  let found = null;
  try {
    const answer = await ask(method, path, { ...options, signal: either });
    if (answer.status !== 204 && answer.status !== 304) found = await answer[as]();
  } catch (error) {
    // it did not come, broke off, or is a page of whoever is in between
    throw error instanceof Problem || signal?.aborted ? error : new Problem(0);
  }
  // who has the next key is not to see it
  if (asked !== key) throw new Problem(401);
  return found;
}

export const isUnfinished = ({ status }) => status === "queued" || status === "running";

const seconds = (answer) => Number(answer.headers.get("Retry-After")) || undefined;
