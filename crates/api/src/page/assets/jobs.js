// The downloads that are known here, which of them are asked for, and in which order.

import { hasKey, isUnfinished, json, service } from "./api.js";
import { recall, remember } from "./prefs.js";

const MOST = 100;

const jobs = new Map();
// Deleted here, though the service may not know it yet.
const hidden = new Set();
// When each was last heard of by another way than the list: a list that was asked for before that knows less.
const heard = new Map();
const pinned = new Set();
let told = () => {};

// Among how many of the newest was looked for what is sorted; null: among all.
export let among = null;

// What is asked for.
export const wanted = { text: "", status: "", tag: "", favourites: false, sort: "created" };

export const onChange = (tell) => (told = tell);

export const get = (id) => jobs.get(id);
export const all = () => [...jobs.values()];
export const unfinished = () => all().filter(isUnfinished);
export const tags = () => [...new Set(all().flatMap((job) => job.request.tags))].sort();

// A stranger has no list at the service: this browser remembers what it ordered.
const remembers = () => !service.lists || (service.wantsKey && !hasKey());

export function put(job) {
  const before = jobs.get(job.id);
  if (hidden.has(job.id)) return;
  jobs.set(job.id, job);
  heard.set(job.id, performance.now());
  if (!before && remembers()) remember("jobs", [job.id, ...recall("jobs", [])].slice(0, MOST));
  told(job, before);
}

// Keeps what was asked for by its id, however old it is.
export function pin(job) {
  pinned.add(job.id);
  put(job);
}

export function drop(id) {
  jobs.delete(id);
  heard.set(id, performance.now());
  if (remembers()) remember("jobs", recall("jobs", []).filter((known) => known !== id));
  told();
}

export function hide(id, is) {
  if (is) hidden.add(id);
  else hidden.delete(id);
  told();
}

export function clear() {
  jobs.clear();
  told();
}

// Takes what the service has now; those in `followed` are heard of otherwise, and sooner.
export async function refresh(followed, signal) {
  const asked = performance.now();
  const isNews = (id) => followed.has(id) || heard.get(id) >= asked;
  const { found, whole } = remembers() ? await remembered(followed) : await listed(signal);
  if (whole) {
    const ids = new Set(found.map((job) => job.id));
    for (const id of [...jobs.keys()]) if (!ids.has(id) && !pinned.has(id) && !isNews(id)) jobs.delete(id);
  }
  for (const job of found) {
    if (hidden.has(job.id) || isNews(job.id)) continue;
    const before = jobs.get(job.id);
    jobs.set(job.id, job);
    if (JSON.stringify(before) !== JSON.stringify(job)) told(job, before ?? job);
  }
  told();
}

async function listed(signal) {
  const query = new URLSearchParams({ limit: MOST });
  if (wanted.status) query.set("status", wanted.status);
  if (wanted.tag) query.set("tag", wanted.tag);
  if (wanted.favourites) query.set("favourite", "true");
  if (wanted.sort !== "created") query.set("sort", wanted.sort);
  const { downloads, sorted_among: most } = await json("GET", `downloads?${query}`, { signal });
  among = most;
  return { found: downloads, whole: [...query].length === 1 };
}

async function remembered(followed) {
  const found = [];
  for (const id of recall("jobs", [])) {
    const known = jobs.get(id);
    if (followed.has(id) || (known && !isUnfinished(known))) continue;
    try {
      found.push(await json("GET", `downloads/${id}`));
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      drop(id);
    }
  }
  return { found, whole: false };
}

const ORDER = {
  created: (job) => job.created_at,
  size: (job) => job.result?.size_bytes ?? -1,
  duration: (job) => job.result?.duration_seconds ?? job.media?.duration_seconds ?? -1,
  downloads: (job) => job.library.downloads,
  rating: (job) => job.library.rating ?? 0,
};

// What is asked for, in its order.
export function shown() {
  const by = ORDER[wanted.sort];
  const compare = (a, b) => order(by(b), by(a)) || order(b.created_at, a.created_at) || order(b.id, a.id);
  return all().filter(fits).sort(compare).slice(0, MOST);
}

const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function fits(job) {
  if (wanted.status && job.status !== wanted.status) return false;
  if (wanted.tag && !job.request.tags.includes(wanted.tag)) return false;
  if (wanted.favourites && !job.library.favourite) return false;
  const { request, media, library } = job;
  const texts = [media?.title, media?.uploader, request.url, request.external_id, library.notes, ...request.tags];
  const within = texts.filter(Boolean).join("\n").toLowerCase();
  return wanted.text.toLowerCase().split(/\s+/).every((word) => within.includes(word));
}
