// Staying up to date: a few downloads by their events, the others by looking again, nothing while nobody looks.

import { isUnfinished, json, Problem, service } from "./api.js";
import { $, pause, setText, show } from "./dom.js";
import { follow } from "./events.js";
import * as jobs from "./jobs.js";
import { ofCode } from "./words.js";

// A browser has six connections to a host over HTTP/1.1; what people click needs some.
const MOST_STREAMS = 3;
const SOON = 2500;
const NOW_AND_THEN = 15_000;

const streams = new Map();
// Regions that no worker serves.
export const deserted = new Set();
let running = null;
let wake = () => {};
let isAsked = false;
let loaded = () => {};

// `first` is told when there is something to show.
export function start(first) {
  stop();
  loaded = first;
  running = new AbortController();
  look(running.signal);
}

export function stop() {
  running?.abort();
  running = null;
  for (const end of streams.values()) end.abort();
  streams.clear();
}

document.addEventListener("visibilitychange", () => (document.hidden ? settle() : refresh()));

// Looks again at once, or as soon as the look that is under way is over.
export function refresh() {
  isAsked = true;
  wake();
}

// Streams for the newest of those that run, then of those that wait.
export function settle() {
  if (running === null) return;
  const byStatus = (job) => (job.status === "running" ? 0 : 1);
  const candidates = jobs.shown().filter(isUnfinished);
  const chosen = document.hidden ? [] : candidates.sort((a, b) => byStatus(a) - byStatus(b)).slice(0, MOST_STREAMS);
  const ids = new Set(chosen.map((job) => job.id));
  for (const [id, end] of streams) {
    if (ids.has(id)) continue;
    end.abort();
    streams.delete(id);
  }
  for (const id of ids) if (!streams.has(id)) open(id);
}

async function open(id) {
  const end = new AbortController();
  streams.set(id, end);
  const outcome = await follow(id, jobs.put, end.signal);
  if (streams.get(id) !== end) return;
  streams.delete(id);
  if (outcome === "gone") jobs.drop(id);
  settle();
}

async function look(signal) {
  while (!signal.aborted) {
    let next = NOW_AND_THEN;
    isAsked = false;
    if (!document.hidden) {
      try {
        await jobs.refresh(loaded, signal);
        loaded();
        await judgeRegions(signal);
        show($("offline"), false);
        settle();
        if (jobs.unfinished().some((job) => !streams.has(job.id))) next = SOON;
      } catch (problem) {
        if (signal.aborted) return;
        if (!(problem instanceof Problem)) throw problem;
        next = Math.max(SOON, (problem.wait ?? 0) * 1000);
        const { title, advice } = ofCode(problem.code);
        setText($("offline"), `${title}. ${problem.passes ? "This goes on by itself." : advice}`);
        show($("offline"), problem.status !== 401);
      }
    }
    if (isAsked) continue;
    await new Promise((resolve) => {
      wake = resolve;
      pause(next, signal).then(resolve);
    });
  }
}

// Asked only while something waits in line that no worker has taken.
async function judgeRegions(signal) {
  const waits = jobs.unfinished().some((job) => job.status === "queued" && job.next_attempt_at === null);
  if (!service.stats || !waits) return;
  const { regions } = await json("GET", "stats", { signal });
  deserted.clear();
  for (const { region, status } of regions) if (status === "no_workers") deserted.add(region);
}
