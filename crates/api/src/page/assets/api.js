// Talking to the API: where it is, the key, and refusals as errors.

import { recall, remember } from "./prefs.js";

// Beside this page, wherever a proxy has put both.
const BASE = new URL("../", import.meta.url);
const API = "api/v1/";

const { keys, lists, stats } = document.documentElement.dataset;
let key = recall("key");

// What this service is, as its page says.
export const service = { wantsKey: keys === "true", lists: lists === "true", stats: stats === "true" };

export class Problem extends Error {
  constructor(status, body, wait) {
    super(body?.detail ?? "The service does not answer.");
    this.status = status;
    this.code = body?.code ?? (status === 0 ? "offline" : "internal");
    this.faults = body?.errors ?? [];
    // in seconds
    this.wait = body?.retry_after ?? wait;
  }

  faultOf(field) {
    return this.faults.find(({ pointer }) => pointer === `/${field}` || pointer.startsWith(`/${field}/`))?.detail;
  }
}

export const hasKey = () => key !== null;

// Tells who listens that a key is needed, or was taken.
export const keyEvents = new EventTarget();

export function useKey(text) {
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
    if (rest.signal?.aborted) throw error;
    throw new Problem(0);
  }
  if (answer.ok || answer.status === 304) return answer;
  const problem = new Problem(answer.status, await answer.json().catch(() => null), seconds(answer));
  if (problem.status === 401 && asked === key) {
    key = null;
    keyEvents.dispatchEvent(new Event("needed"));
  }
  throw problem;
}

export async function json(method, path, options) {
  const answer = await ask(method, path, options);
  return answer.status === 204 || answer.status === 304 ? null : answer.json();
}

export const isUnfinished = ({ status }) => status === "queued" || status === "running";

const seconds = (answer) => Number(answer.headers.get("Retry-After")) || undefined;
