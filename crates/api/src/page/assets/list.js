// The list of downloads on the page: one row for each, changed in place.

import { $, make, set, setOptions, setText, show } from "./dom.js";
import * as jobs from "./jobs.js";
import { Row } from "./row.js";
import { STATUS, titleOf } from "./words.js";

const rows = new Map();
let loaded = false;
let planned = false;

// Brings a download into view, and the focus to it, as soon as it is in the list.
let revealed = null;
export function reveal(id) {
  revealed = id;
  draw();
}

// All changes of a moment are drawn together.
export function draw() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    patch();
  });
}

// The first answer is here: what stood in for it goes.
export function hasLoaded() {
  if (loaded) return;
  loaded = true;
  for (const skeleton of $("jobs").querySelectorAll(".skeleton")) skeleton.remove();
  set($("jobs"), "aria-busy", null);
  patch();
  show($("foot"), true);
}

function patch() {
  if (!loaded) return;
  const list = $("jobs");
  const shown = jobs.shown();
  const ids = new Set(shown.map((job) => job.id));
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const at = placeOf(focused);
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    row.remove();
    rows.delete(id);
  }
  let next = list.firstElementChild;
  for (const job of shown) {
    let row = rows.get(job.id);
    if (row) row.update(job);
    else rows.set(job.id, (row = new Row(job, standIn)));
    while (next?.classList.contains("gone")) next = next.nextElementSibling;
    if (next === row.node) next = next.nextElementSibling;
    else list.insertBefore(row.node, next);
  }
  if (focused && !focused.isConnected) focusAt(at);
  else if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
  setOptions($("filter-tag"), [["", "Any tag"], ...jobs.tags().map((tag) => [tag, tag])]);
  sayEmpty(shown.length === 0);
  setText($("among"), jobs.among === null ? "" : `Sorted among your newest ${jobs.among.toLocaleString()} downloads.`);
  if (revealed && rows.has(revealed)) {
    rows.get(revealed).node.focus();
    revealed = null;
  }
}

const placeOf = (node) => [...$("jobs").children].findIndex((row) => row.contains(node));

// Of a row that has left, what is in its place has the focus, not the top of the page.
function focusAt(place) {
  const row = $("jobs").children[place] ?? $("jobs").lastElementChild;
  (row?.querySelector(".undo") ?? row ?? $("list-title")).focus({ preventScroll: true });
}

function sayEmpty(is) {
  const { text, status, tag, favourites } = jobs.wanted;
  const filtered = text || status || tag || favourites;
  setText($("empty"), filtered ? "Nothing fits. Change the search or the filters." : "Nothing here yet. Paste a link above and press Download.");
  show($("empty"), is && !$("jobs").querySelector(".gone"));
}

// In the place of a row that was deleted, for as long as that can be taken back.
function standIn(id, title, undo) {
  const row = rows.get(id);
  const node = $("gone-template").content.firstElementChild.cloneNode(true);
  setText(node.querySelector("p"), `Deleted: ${title}`);
  node.querySelector("button").addEventListener("click", undo);
  row.node.replaceWith(node);
  row.dispose();
  rows.delete(id);
  node.querySelector("button").focus({ preventScroll: true });
  return {
    remove() {
      const at = node.contains(document.activeElement) ? placeOf(node) : -1;
      node.remove();
      patch();
      if (at >= 0) focusAt(at);
    },
  };
}

// Says what has become of a download; of progress within a status it says nothing.
export function announce(job, before) {
  if (!before || before.status === job.status) return;
  $("announcer").replaceChildren(make("span", { textContent: `${STATUS[job.status]}: ${titleOf(job)}` }));
}
