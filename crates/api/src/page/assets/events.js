// The events of one download, over fetch: it can send the key, which a browser's own EventSource can not.

import { ask, isUnfinished } from "./api.js";
import { pause } from "./dom.js";

// Until the service has said when to come back.
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30_000;
// The service says something every 15 s, if only that it is there.
const SILENCE = 40_000;

// Tells `heard` every state until the last one. Resolves to "ended" when that was heard, to "gone" when there is no such
// download any more, to "stopped" when the signal said so, or the key is good no longer.
export async function follow(id, heard, signal) {
  const place = { last: null, pause: FIRST_PAUSE, tries: 0 };
  while (!signal.aborted) {
    let least = 0;
    try {
      if (await listen(id, place, heard, signal)) return "ended";
    } catch (problem) {
      if (signal.aborted || problem.status === 401) break;
      if (problem.status === 404) return "gone";
      least = (problem.wait ?? 0) * 1000;
    }
    const next = Math.min(place.pause * 2 ** place.tries, LONGEST_PAUSE);
    place.tries += 1;
    await pause(Math.max(least, next * (0.5 + Math.random() / 2)), signal);
  }
  return "stopped";
}

// Resolves to whether it has ended; if not, whoever listens again goes on from `place`.
async function listen(id, place, heard, signal) {
  const silent = new AbortController();
  signal.addEventListener("abort", () => silent.abort(), { signal: silent.signal });
  let timer = setTimeout(() => silent.abort(), SILENCE);
  try {
    const headers = { Accept: "text/event-stream", ...(place.last !== null && { "Last-Event-ID": place.last }) };
    const answer = await ask("GET", `downloads/${id}/events`, { headers, signal: silent.signal });
    if (answer.status === 204) return true;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parse = parser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE);
      for (const { id: at, retry, data } of parse(value)) {
        place.pause = retry ?? place.pause;
        if (data === "") continue;
        const job = JSON.parse(data);
        place.last = at ?? place.last;
        place.tries = 0;
        heard(job);
        if (!isUnfinished(job)) return true;
      }
    }
  } finally {
    clearTimeout(timer);
    silent.abort();
  }
}

// Takes text as it comes and gives the blocks that are whole (HTML Standard, 9.2.6; lines end as this service ends them).
function parser() {
  let rest = "";
  return (text) => {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    return blocks.map(read);
  };
}

function read(block) {
  const event = { id: null, retry: null, data: "" };
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === "id") event.id = value;
    if (name === "retry") event.retry = Number(value);
    if (name === "data") event.data += (event.data && "\n") + value;
  }
  return event;
}
