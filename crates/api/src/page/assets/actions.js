// What can be done with one download.

import { address, ask, json, keyEvents, Problem } from "./api.js";
import { make, set, show } from "./dom.js";
import * as jobs from "./jobs.js";
import { ofCode, titleOf } from "./words.js";

// How long a deletion can be taken back.
const SECOND_THOUGHTS = 7000;
// Deletions that are still to be sent, by id.
const deletions = new Map();

// Who leaves the page, or takes the key away, has made up their mind.
const finishAll = () => deletions.forEach((finish) => finish());
addEventListener("pagehide", finishAll);
keyEvents.addEventListener("leaving", finishAll);

export function actions(row, standIn) {
  const on = (selector, work) => {
    let isBusy = false;
    row.part(selector).addEventListener("click", async (event) => {
      // by the second half of a double click something else may be under the pointer
      if (isBusy || event.detail > 1) return event.preventDefault();
      isBusy = true;
      try {
        await work(event);
      } catch (problem) {
        tellProblem(row, problem);
      } finally {
        isBusy = false;
      }
    });
  };
  on(".cancel", () => cancel(row));
  on(".retry", () => retry(row));
  on(".delete", () => remove(row, standIn));
  on(".copy", () => copy(row));
  on(".play", () => play(row));
  on(".save", (event) => save(row, event));
  on(".favourite", () => patch(row, { favourite: !row.job.library.favourite }));
  on(".expand", () => expand(row));
  set(row.part(".save"), "href", address(`downloads/${row.node.id.slice(4)}/link?redirect=true`));
  const { notes, rating } = row.fields();
  notes.addEventListener("change", () => {
    // until the service has it, no news takes it away
    notes.dataset.unsent = true;
    const { value } = notes;
    const sent = () => notes.value === value && delete notes.dataset.unsent;
    patch(row, { notes: value.trim() || null }).then(sent).catch((p) => tellProblem(row, p));
  });
  rating.addEventListener("change", () => patch(row, { rating: Number(rating.value) || null }).catch((p) => tellProblem(row, p)));
}

function tellProblem(row, problem) {
  if (!(problem instanceof Problem)) throw problem;
  row.stop(false);
  if (problem.status === 404) return jobs.drop(row.job.id);
  const { title, advice } = ofCode(problem.code);
  row.tell(`${title}. ${advice}`);
}

const path = (row, rest = "") => `downloads/${row.job.id}${rest}`;

// Not DELETE, by which what had ended meanwhile would be gone.
async function cancel(row) {
  row.stop(true);
  jobs.put(await json("POST", path(row, "/cancel")));
}

async function retry(row) {
  row.tell("");
  jobs.put(await json("POST", path(row, "/retry")));
}

function remove(row, standIn) {
  const { id } = row.job;
  const send = () => {
    if (!deletions.delete(id)) return;
    ask("DELETE", `downloads/${id}`, { keepalive: true }).then(
      () => jobs.drop(id),
      ({ status }) => (status === 404 ? jobs.drop(id) : jobs.hide(id, false)),
    );
  };
  const end = () => {
    clearTimeout(timer);
    place.remove();
  };
  const place = standIn(id, titleOf(row.job), () => {
    deletions.delete(id);
    jobs.hide(id, false);
    end();
    document.getElementById(`job-${id}`)?.focus({ preventScroll: true });
  });
  const finish = () => (send(), end());
  jobs.hide(id, true);
  deletions.set(id, finish);
  const timer = setTimeout(finish, SECOND_THOUGHTS);
}

async function link(row, query = "") {
  return (await json("GET", path(row, `/link${query}`))).url;
}

// A link in any case, so that it can be opened elsewhere too. Here a refusal is told in the row, and the key sent.
async function save(row, event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  location.assign(await link(row));
}

// Fetched, not followed: a link brings no key.
export async function saveText(row, { language }) {
  try {
    const text = await json("GET", path(row, `/subtitles/${encodeURIComponent(language)}`), {}, "blob");
    const url = URL.createObjectURL(text);
    const download = `${row.job.result.filename.replace(/[.][^.]*$/, "")}.${language}.vtt`;
    make("a", { href: url, download }).click();
    setTimeout(() => URL.revokeObjectURL(url), SECOND_THOUGHTS);
  } catch (problem) {
    tellProblem(row, problem);
  }
}

async function copy(row) {
  const url = await link(row);
  try {
    await navigator.clipboard.writeText(url);
    row.tell("Link copied. Whoever has it can fetch the file while it lasts.");
  } catch {
    // only secure pages may: show it instead, selected
    const field = document.createElement("input");
    Object.assign(field, { value: url, readOnly: true, ariaLabel: "Link to the file", className: "copied" });
    row.part(".said").replaceChildren("Copy this: ", field);
    field.select();
  }
}

async function play(row) {
  if (!row.part(".player").hidden) return row.closePlayer();
  row.tell("");
  row.openPlayer(await link(row, "?inline=true"));
}

async function patch(row, body) {
  jobs.put(await json("PATCH", path(row), { body }));
  if (!("favourite" in body)) row.tell("Kept.");
}

function expand(row) {
  const part = row.part(".details");
  show(part, part.hidden);
  set(row.part(".expand"), "aria-expanded", !part.hidden);
  row.detail();
}
