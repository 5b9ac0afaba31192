// What is asked for besides links: read from the form as a request, remembered for next time.

import { $, setText } from "./dom.js";
import { clock, seconds } from "./format.js";
import { recall, remember } from "./prefs.js";

const AUDIO = ["mp3", "m4a", "opus", "flac", "wav"];

export const isAudio = () => AUDIO.includes($("format").value);

// The quality that was chosen, whatever the medium before had.
let quality = "best";
export const wantedQuality = () => quality;

export function start(changed) {
  const format = recall("format");
  if ([...$("format").options].some(({ value }) => value === format)) $("format").value = format;
  const known = [...$("quality").options].some(({ value }) => value === recall("quality"));
  quality = known ? recall("quality") : $("quality").value;
  $("quality").value = quality;
  settle();
  $("format").addEventListener("change", () => {
    remember("format", $("format").value);
    settle();
    changed();
  });
  $("quality").addEventListener("change", () => {
    quality = $("quality").value;
    remember("quality", quality);
  });
}

// Chosen for the medium that is looked at, in the place of what was; null: no longer.
export function suggest(format) {
  const chosen = recall("format", "mp4");
  $("format").value = format ?? chosen;
  settle();
}

// Sound has no quality of a picture, and only some of it a bit rate.
function settle() {
  $("quality").disabled = isAudio();
  $("bitrate").disabled = !["mp3", "m4a", "opus"].includes($("format").value);
}

const FAULTS = { clip: "clip-fault", subtitles: "languages-fault", live_seconds: "live-fault", format: "format-fault", quality: "quality-fault" };

export function clearFaults() {
  for (const id of [...Object.values(FAULTS), "urls-fault", "composer-fault"]) setText($(id), "");
}

// Puts what the service found wrong beside its field; false where it has none here.
export function tellFault(problem) {
  const place = Object.keys(FAULTS).find((field) => problem.faultOf(field));
  if (place === undefined) return false;
  tell(FAULTS[place], problem.faultOf(place));
  return true;
}

function tell(id, words) {
  const place = $(id);
  const more = place.closest("details");
  if (more) more.open = true;
  setText(place, words);
}

const list = (text) => text.split(/[\s,]+/).filter(Boolean);
const isOn = (id) => $(id).checked;

// The request without its link; null when something is wrong, which then is said beside it. What is as usual is left out.
export function read() {
  clearFaults();
  const clip = readClip();
  const live = seconds($("live").value);
  if (Number.isNaN(live) || live === 0) tell("live-fault", "Write a time such as 0:10:00.");
  if (clip === undefined || Number.isNaN(live) || live === 0) return null;
  const languages = list($("languages").value);
  const tags = $("tags").value.split(",").map((tag) => tag.trim()).filter(Boolean);
  const filename = $("filename").value.trim();
  return {
    format: $("format").value,
    ...(!isAudio() && { quality: $("quality").value }),
    ...($("codec").value !== "any" && { codec: $("codec").value }),
    ...(isOn("strict") && { fallback: "strict" }),
    ...(!$("bitrate").disabled && $("bitrate").value !== "192" && { audio_bitrate_kbps: Number($("bitrate").value) }),
    ...(clip && { clip }),
    ...(languages.length > 0 && {
      subtitles: { languages, automatic: isOn("automatic"), mode: $("subtitle-mode").value },
    }),
    ...(!isOn("embed-metadata") && { embed_metadata: false }),
    ...(!isOn("embed-chapters") && { embed_chapters: false }),
    ...(isOn("embed-thumbnail") && { embed_thumbnail: true }),
    ...(isOn("sponsor") && { sponsorblock: { mark: [], remove: ["sponsor"] } }),
    ...(live !== null && { live_seconds: Math.round(live) }),
    ...(filename && { filename }),
    ...(tags.length > 0 && { tags }),
  };
}

// undefined: it is wrong; null: the whole medium
function readClip() {
  const [start, end] = [seconds($("clip-start").value), seconds($("clip-end").value)];
  if (Number.isNaN(start) || Number.isNaN(end)) {
    tell("clip-fault", "Write times such as 1:30 or 0:01:30.5.");
    return undefined;
  }
  if (end !== null && end <= (start ?? 0)) {
    tell("clip-fault", "The end has to be after the start.");
    return undefined;
  }
  return start === null && end === null ? null : { start: start ?? 0, end, exact: isOn("clip-exact") };
}

// What belongs to one medium, and would be wrong for the next.
export function forgetMedium() {
  for (const id of ["clip-start", "clip-end", "filename", "live"]) $(id).value = "";
}

// Puts it back where nothing was written meanwhile.
export function restore({ clip, filename, live_seconds: live }) {
  const values = { "clip-start": clip?.start, "clip-end": clip?.end, filename, live: live && clock(live) };
  for (const [id, value] of Object.entries(values)) $(id).value ||= value ?? "";
}
