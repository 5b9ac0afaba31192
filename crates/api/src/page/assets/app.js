// The page: its parts put together.

import { json, Problem, service } from "./api.js";
import * as composer from "./composer.js";
import { $, later, set, setText, show } from "./dom.js";
import { bytes } from "./format.js";
import * as jobs from "./jobs.js";
import { withKey } from "./key.js";
import * as list from "./list.js";
import * as live from "./live.js";
import { recall, remember } from "./prefs.js";
import { ofCode } from "./words.js";

// Bytes stored and, where they are counted, delivered today: of the key, else of everybody; a stranger is told neither.
const usageSoon = later(usage, 300);

jobs.onChange((job, before) => {
  list.draw();
  if (!job) return;
  list.announce(job, before);
  if (before && before.status !== job.status) {
    live.settle();
    usageSoon();
  }
});

composer.start();
filters();
theme();
shortcuts();
bookmarklet();
withKey(
  () => {
    live.start(list.hasLoaded);
    usageSoon();
    atHash();
  },
  () => {
    live.stop();
    jobs.clear();
    show($("usage"), false);
  },
);

function filters() {
  const { wanted } = jobs;
  const pick = (id, name) =>
    $(id).addEventListener("change", () => {
      wanted[name] = $(id).value;
      list.draw();
      live.refresh();
    });
  pick("filter-status", "status");
  pick("filter-tag", "tag");
  pick("sort", "sort");
  $("search").addEventListener("input", () => {
    wanted.text = $("search").value.trim();
    list.draw();
  });
  $("filter-favourites").addEventListener("click", () => {
    wanted.favourites = !wanted.favourites;
    set($("filter-favourites"), "aria-pressed", wanted.favourites);
    list.draw();
    live.refresh();
  });
}

function theme() {
  const root = document.documentElement;
  const isDark = () => root.dataset.theme === "dark" || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  $("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember("theme", root.dataset.theme);
  });
}

// Only outside of fields, not in the place of what a browser does, and not for who speaks to it (WCAG 2.1.4).
function shortcuts() {
  const keys = { n: "urls", "/": "search" };
  $("letters").checked = recall("letters", true);
  $("letters").addEventListener("change", () => remember("letters", $("letters").checked));
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
    if (!$("letters").checked || isTyping || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    $(keys[event.key]).focus();
  });
}

// Only a bookmark runs it: this page may not run what stands in a link.
function bookmarklet() {
  const here = new URL(".", location.href).href;
  $("bookmarklet").href = `javascript:void open(${JSON.stringify(`${here}?url=`)}+encodeURIComponent(location.href))`;
  $("bookmarklet").addEventListener("click", (event) => event.preventDefault());
  // what was shared is in the form, and is not to come back when the page is loaded again
  if (location.search) history.replaceState(null, "", `${location.pathname}${location.hash}`);
}

// A link to one download: in the list, and in view.
async function atHash() {
  const [id] = /[0-9a-f-]{36}$/.exec(location.hash) ?? [];
  if (!id) return;
  try {
    jobs.pin(await json("GET", `downloads/${id}`));
    list.reveal(id);
    setText($("missing"), "");
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    const { title, advice } = ofCode(problem.code);
    setText($("missing"), `The linked download: ${title}. ${advice}`);
  }
}

async function usage() {
  if (!service.lists) return;
  try {
    const { stored_bytes: stored, delivered_bytes_today: delivered, bytes_per_day: most } = await json("GET", "usage");
    const today = most === null ? "" : ` · ${bytes(delivered)} of ${bytes(most)} today`;
    setText($("usage"), `${bytes(stored)} stored${today}`);
    show($("usage"), true);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
  }
}
