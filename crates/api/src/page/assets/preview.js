// What is at the link that was pasted: shown as soon as it is known, and offered as choices. Nothing waits for it.

import { json, Problem } from "./api.js";
import { $, later, make, pause, setOptions, setText, show } from "./dom.js";
import { bytes, clock, site } from "./format.js";
import { isAudio, suggest, wantedQuality } from "./options.js";
import { forget, pictureNow } from "./pictures.js";
import { ofCode } from "./words.js";

const TYPING = 350;
const MOST_LANGUAGES = 12;

let looking = new AbortController();
let current = "";
let known = null;
let links = [];
let whole = [];
// Entries whose orders came back, by link.
const again = new Map();

const lookSoon = later(() => look(), TYPING);

export function start() {
  whole = [...$("quality").options].map(({ value, textContent }) => [value, textContent]);
  $("entries-all").addEventListener("click", () => check(true));
  $("entries-none").addEventListener("click", () => check(false));
  $("entry-list").addEventListener("change", count);
}

// What is in the form now, and what came back; a look begins only when a single link stays for a moment.
export function see(found, { url, playlist_index: entry } = {}) {
  links = found;
  for (const old of again.keys()) if (!links.includes(old)) again.delete(old);
  if (entry) again.set(url, [...(again.get(url) ?? []), entry]);
  if (links.length !== 1 || links[0] !== current) {
    // at once: nobody is to choose from what is gone in a moment
    looking.abort();
    current = "";
    $("preview").classList.remove("looking");
    if (known) clear();
    lookSoon();
  }
  count();
}

// Which entries of the list at this link were chosen, from 1; null where none is known.
export function entries(url) {
  if (url !== current || !known?.entries.length) return again.get(url) ?? null;
  return [...$("entry-list").querySelectorAll("input:checked")].map(({ value }) => Number(value));
}

function check(is) {
  for (const box of $("entry-list").querySelectorAll("input")) box.checked = is;
  count();
}

function count() {
  const chosen = links.flatMap((url) => entries(url) ?? url).length;
  setText($("submit"), chosen > 1 ? `Download ${chosen}` : "Download");
}

async function look(failed = 0) {
  looking.abort();
  looking = new AbortController();
  const { signal } = looking;
  current = links.length === 1 ? links[0] : "";
  clear();
  if (links.length === 0) return say("What you paste shows up here", "Title, length and the qualities it really has. No need to wait for it.");
  if (links.length > 1) return say(`${links.length} links`, "All of them are downloaded with these choices.");
  $("preview").classList.add("looking");
  say("Looking…", site(current));
  try {
    present(await json("POST", "metadata", { body: { url: current }, signal }));
  } catch (problem) {
    if (signal.aborted) return;
    if (!(problem instanceof Problem)) throw problem;
    const { title, advice } = ofCode(problem.code);
    say(title, problem.passes ? "No preview for the moment; you can download all the same." : `${problem.message} ${advice}`);
    // ever more rarely: some are always too slow
    if (problem.passes) pause(problem.passes * 1000 * 2 ** failed, signal).then(() => signal.aborted || look(failed + 1));
  } finally {
    if (!signal.aborted) $("preview").classList.remove("looking");
  }
}

function say(title, facts) {
  setText($("preview-title"), title);
  setText($("preview-facts"), facts);
}

function clear() {
  if (known && isSound(known)) suggest(null);
  known = null;
  forget($("preview-picture"));
  show($("entries"), false);
  $("entry-list").replaceChildren();
  $("language-choices").replaceChildren();
  $("language-list").replaceChildren();
  offer();
  count();
}

function present(metadata) {
  known = metadata;
  const { title, uploader, duration_seconds: length, is_live: live, entries: list, qualities } = metadata;
  const rungs = qualities.length > 1 ? `${qualities.at(-1)} to ${qualities[0]}` : qualities[0];
  const facts = [site(current), uploader, live ? "live now" : clock(length), list.length ? `${list.length} entries` : rungs];
  say(title ?? site(current), facts.filter(Boolean).join(" · "));
  if (metadata.thumbnail_url) pictureNow($("preview-picture"), `metadata/thumbnail?${new URLSearchParams({ url: current })}`);
  if (live && $("live").value === "") $("live").value = "0:10:00";
  if (isSound(metadata) && !isAudio()) suggest("original");
  offer();
  offerLanguages(metadata.subtitles);
  offerEntries(list);
  count();
}

// Nothing but sound: of that no video can be made.
const SOUNDS = ["mp3", "m4a", "aac", "opus", "ogg", "flac", "wav", "weba"];
const isSound = ({ formats }) => formats.length > 0 && formats.every(({ ext, height }) => !height && SOUNDS.includes(ext));

// The qualities that it has, each with the size that the streams tell; all of them while nothing is known.
export function offer() {
  if (isAudio()) return;
  const has = known?.qualities ?? [];
  const offered = has.length === 0 ? whole : whole.filter(([value]) => value === "best" || has.includes(value));
  const named = offered.map(([value, text]) => {
    const size = known && estimate(value === "best" ? has[0] : value);
    return [value, size ? `${text} · ${bytes(size)}` : text];
  });
  setOptions($("quality"), named);
  // what was wanted, else the next below, else the lowest
  const ladder = whole.map(([value]) => value);
  const below = ladder.slice(ladder.indexOf(wantedQuality()));
  const fits = below.find((value) => offered.some(([known]) => known === value));
  $("quality").value = fits ?? offered.at(-1)[0];
}

// Of the best picture of this quality and the best sound, in bytes; null where the site does not tell.
function estimate(quality) {
  const { formats, duration_seconds: length } = known;
  const size = (format) => format.size_bytes ?? (format.bitrate_kbps && length ? format.bitrate_kbps * 125 * length : null);
  const largest = (some) => Math.max(0, ...some.map(size).filter(Boolean));
  const has = (codec) => codec !== null && codec !== "none";
  const pictures = formats.filter(({ width, height }) => `${Math.min(width ?? height, height)}p` === quality);
  const sounds = formats.filter(({ height, vcodec, acodec }) => !height && !has(vcodec) && has(acodec));
  const picture = largest(pictures);
  return picture === 0 ? null : picture + (pictures.some(({ acodec }) => has(acodec)) ? 0 : largest(sounds));
}

function offerLanguages(subtitles) {
  const tags = [...new Set(subtitles.map(({ language }) => language))];
  $("language-list").replaceChildren(...tags.map((value) => make("option", { value })));
  const written = subtitles.filter(({ automatic }) => !automatic);
  const offered = (written.length ? written : subtitles).slice(0, MOST_LANGUAGES);
  $("language-choices").replaceChildren(
    ...offered.map(({ language, name, automatic }) => {
      const chip = make("button", { type: "button", className: "small", textContent: name ?? language });
      chip.addEventListener("click", () => {
        const chosen = $("languages").value.split(/[\s,]+/).filter(Boolean);
        if (!chosen.includes(language)) $("languages").value = [...chosen, language].join(", ");
        if (automatic) $("automatic").checked = true;
      });
      return chip;
    }),
  );
}

function offerEntries(list) {
  const wanted = again.get(current) ?? [1];
  const rows = list.map(({ title, duration_seconds: length }, at) => {
    const box = make("input", { type: "checkbox", id: `entry-${at + 1}`, value: at + 1, checked: wanted.includes(at + 1) });
    const words = `${at + 1}. ${title ?? "Untitled"}${length ? ` · ${clock(length)}` : ""}`;
    return make("li", { className: "check" }, box, make("label", { htmlFor: box.id, textContent: words }));
  });
  $("entry-list").replaceChildren(...rows);
  show($("entries"), rows.length > 0);
}
