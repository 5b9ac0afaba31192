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
// The one that is asked for stays to be seen, and left, when nothing has it any longer.
export const tags = () => [...new Set([wanted.tag, ...all().flatMap((job) => job.request.tags)])].filter(Boolean).sort();

// A stranger has no list at the service: this browser remembers what it ordered.
const remembers = () => !service.lists || (service.wantsKey && !hasKey());

export function put(job) {
  const before = jobs.get(job.id);
  if (hidden.has(job.id) || isBehind(job, before)) return;
  jobs.set(job.id, job);
  heard.set(job.id, performance.now());
  if (!before && remembers()) remember("jobs", [job.id, ...recall("jobs", [])].slice(0, MOST));
  told(job, before);
}

// What comes late, on a slow line or after a break, may be older than what is known.
const isBehind = (job, known) =>
  known?.status === job.status && known.attempt === job.attempt && job.progress.percent < known.progress.percent;

// Keeps what was asked for by its id, however old it is.
export function pin(job) {
  pinned.add(job.id);
  put(job);
}

export function drop(id) {
  jobs.delete(id);
  hidden.delete(id);
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

// Takes what the service has now, also of what is followed: a proxy may hold a stream back to its end. Tells `taken` of each.
export async function refresh(taken, signal) {
  const asked = performance.now();
  const isNews = (id) => heard.get(id) >= asked;
  const take = (job) => {
    const before = jobs.get(job.id);
    if (hidden.has(job.id) || isNews(job.id) || isBehind(job, before)) return;
    jobs.set(job.id, job);
    if (JSON.stringify(before) !== JSON.stringify(job)) told(job, before ?? job);
    taken();
  };
  if (remembers()) {
    await remembered(take, signal);
  } else {
    const by = { ...wanted };
    const found = await listed(by, signal);
    const kept = new Set([...pinned, ...found.map((job) => job.id)]);
    // what should have been found by what is known here has become something else
    for (const job of all()) if (isOf(job, by) && !kept.has(job.id) && !isNews(job.id)) jobs.delete(job.id);
    found.forEach(take);
  }
  told();
}

async function listed({ status, tag, favourites: favourite, sort }, signal) {
  const query = new URLSearchParams({ limit: MOST, sort });
  for (const [name, value] of Object.entries({ status, tag, favourite })) if (value) query.set(name, value);
  const { downloads, sorted_among: most } = await json("GET", `downloads?${query}`, { signal });
  among = most;
  return downloads;
}

// Each is taken as it comes, whatever becomes of the next.
async function remembered(take, signal) {
  for (const id of recall("jobs", [])) {
    const known = jobs.get(id);
    const isOver = known?.status === "completed" && Date.parse(known.expires_at) < Date.now();
    if (known && !isUnfinished(known) && !isOver) continue;
    try {
      take(await json("GET", `downloads/${id}`, { signal }));
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      drop(id);
    }
  }
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
  const fits = (job) => !hidden.has(job.id) && isOf(job, wanted) && hasText(job);
  const by = ORDER[wanted.sort];
  const compare = (a, b) => order(by(b), by(a)) || order(b.created_at, a.created_at) || order(b.id, a.id);
  return all().filter(fits).sort(compare).slice(0, MOST);
}

const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

const isOf = (job, { status, tag, favourites }) =>
  (!status || job.status === status) && (!tag || job.request.tags.includes(tag)) && (!favourites || job.library.favourite);

function hasText(job) {
  const { request, media, library } = job;
  const texts = [media?.title, media?.uploader, request.url, request.external_id, library.notes, ...request.tags];
  const within = texts.filter(Boolean).join("\n").toLowerCase();
  return wanted.text.toLowerCase().split(/\s+/).every((word) => within.includes(word));
}
