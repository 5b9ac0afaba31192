// The form: links in, orders out.

import { keyEvents } from "./api.js";
import { $, setText } from "./dom.js";
import { site } from "./format.js";
import * as options from "./options.js";
import * as outbox from "./outbox.js";
import * as preview from "./preview.js";
import { ofCode } from "./words.js";

export function start() {
  preview.start();
  options.start(preview.offer);
  outbox.start(back);
  keyEvents.addEventListener("leaving", () => {
    empty();
    $("tags").value = "";
  });
  $("urls").addEventListener("input", () => preview.see(links()));
  $("urls").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("composer").requestSubmit();
  });
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  document.addEventListener("dragover", (event) => {
    if (isText(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!isText(event) || event.target.closest?.("input, textarea")) return;
    event.preventDefault();
    add(event.dataTransfer.getData("text/uri-list") || event.dataTransfer.getData("text/plain"));
  });
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("input, textarea, select")) return;
    event.preventDefault();
    add(event.clipboardData.getData("text/plain"));
  });
  preview.see(links());
}

const isText = (event) => event.dataTransfer?.types.some((type) => type === "text/uri-list" || type === "text/plain");

const hasScheme = (word) => word.includes("://");

// The links in what was pasted: whatever has a dot or a scheme, without the marks that text puts around it.
function links(text = $("urls").value) {
  const words = text.split(/\s+/).map((word) => word.replace(/^[<("']+|[>)"',]+$/g, ""));
  const found = words.filter((word) => hasScheme(word) || /^[^/:]+\.[^/]/.test(word));
  return [...new Set(found.map((word) => (hasScheme(word) ? word : `https://${word}`)))];
}

function add(text) {
  const found = links(text.split("\n").filter((line) => !line.startsWith("#")).join("\n"));
  if (found.length === 0) return;
  put([...links(), ...found]);
  $("urls").focus();
}

function put(urls) {
  $("urls").value = [...new Set(urls)].join("\n");
  preview.see(links());
}

function submit() {
  const request = options.read();
  const urls = links();
  if (urls.length === 0) {
    setText($("urls-fault"), "Paste a link first, such as one that a browser shows at its top.");
    return $("urls").focus();
  }
  if (request === null) return;
  const orders = urls.flatMap((url) => (preview.entries(url) ?? [undefined]).map((playlist_index) => ({ url, ...request, playlist_index })));
  if (orders.length === 0) return setText($("composer-fault"), "Choose at least one entry.");
  outbox.send(orders);
  empty();
  $("urls").focus();
}

function empty() {
  put([]);
  options.clearFaults();
  options.forgetMedium();
}

// What was not taken is in the form again, with the reason beside it; who is busy elsewhere is left alone.
function back(order, problem) {
  const { url } = order;
  if (links().length === 0) options.restore(order);
  if (!links().includes(url)) $("urls").setRangeText(`${url}\n`, 0, 0, "preserve");
  preview.see(links(), order);
  if ([document.body, $("urls"), $("outbox-stop")].includes(document.activeElement)) $("urls").focus();
  if (!problem) return;
  const { title, advice } = ofCode(problem.code);
  if (problem.faultOf("url")) {
    const said = `${site(url)}: ${title.toLowerCase()}; a link ${problem.faultOf("url")}.`;
    setText($("urls-fault"), `${$("urls-fault").textContent} ${said}`.trim());
  } else if (!options.tellFault(problem)) {
    const places = problem.faults.map(({ pointer, detail }) => `${pointer.slice(1)} ${detail}`).join("; ");
    setText($("composer-fault"), `${title}. ${places || advice}`);
  }
}
