// The events of one download, over fetch: it can send the key, which a browser's own EventSource can not.

import { ask, isUnfinished } from "./api.js";
import { pause } from "./dom.js";

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30_000;
// The service says something every 15 s, if only that it is there.
const SILENCE = 40_000;

// Tells `heard` every state until the last one. Resolves to true when that was heard, to false when the download is gone
// or the signal ended it.
export async function follow(id, hasEvents, heard, signal) {
  if (!hasEvents) return poll(id, heard, signal);
  let last = null;
  let wait = FIRST_PAUSE;
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream", ...(last !== null && { "Last-Event-ID": last }) };
      const ended = await listen(id, headers, signal, (event) => {
        last = event.id ?? last;
        wait = FIRST_PAUSE;
        heard(event.job);
      });
      if (ended) return true;
    } catch (problem) {
      if (signal.aborted || problem.status === 401) return false;
      if (problem.status === 404) return poll(id, heard, signal);
    }
    await pause(wait * (0.5 + Math.random() / 2), signal);
    wait = Math.min(2 * wait, LONGEST_PAUSE);
  }
  return false;
}

async function listen(id, headers, signal, heard) {
  const silent = new AbortController();
  const either = AbortSignal.any([signal, silent.signal]);
  let timer = setTimeout(() => silent.abort(), SILENCE);
  try {
    const answer = await ask("GET", `downloads/${id}/events`, { headers, signal: either });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parse = parser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE);
      for (const { id: at, data } of parse(value)) {
        const job = JSON.parse(data);
        heard({ id: at, job });
        if (!isUnfinished(job)) return true;
      }
    }
  } finally {
    clearTimeout(timer);
    silent.abort();
  }
}

// Takes text as it comes and gives the events that are whole (HTML Standard, 9.2.6; lines end as this service ends them).
export function parser() {
  let rest = "";
  return (text) => {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    return blocks.map(read).filter(({ data }) => data !== "");
  };
}

function read(block) {
  const event = { id: null, data: "" };
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === "id") event.id = value;
    if (name === "data") event.data += (event.data && "\n") + value;
  }
  return event;
}

// For a service without events, and to find out whether the download itself is gone.
async function poll(id, heard, signal) {
  let tag = null;
  while (!signal.aborted) {
    try {
      const headers = tag === null ? {} : { "If-None-Match": tag };
      const answer = await ask("GET", `downloads/${id}?wait=${tag === null ? 0 : 25}`, { headers, signal });
      tag = answer.headers.get("ETag");
      if (answer.status === 200) {
        const job = await answer.json();
        heard(job);
        if (!isUnfinished(job)) return true;
      }
      // an answer may come at once, where many others wait
      await pause(FIRST_PAUSE / 2, signal);
    } catch (problem) {
      if (signal.aborted || [401, 404].includes(problem.status)) return false;
      await pause((problem.wait ?? 5) * 1000, signal);
    }
  }
  return false;
}
