// Asking for the key, once; and forgetting it.

import { hasKey, json, keyEvents, Problem, service, useKey } from "./api.js";
import { $, setText, show } from "./dom.js";
import { ofCode } from "./words.js";

// Calls `start` as soon as there is a key, or none is needed; `stop` when it was no good or is forgotten.
export function withKey(start, stop) {
  if (!service.wantsKey) return start();
  keyEvents.addEventListener("needed", () => {
    stop();
    requireKey();
  });
  keyEvents.addEventListener("taken", () => {
    present(true);
    start();
  });
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    tryKey($("api-key").value.trim());
  });
  $("forget-key").addEventListener("click", () => useKey(null));
  if (hasKey()) {
    present(true);
    start();
  } else {
    requireKey();
  }
}

function present(is) {
  document.documentElement.classList.toggle("locked", !is);
  show($("key-card"), !is);
  show($("forget-key"), is);
}

function requireKey() {
  present(false);
  $("api-key").focus();
}

async function tryKey(text) {
  setText($("key-fault"), "");
  try {
    // whatever the answer, only a good key gets one
    await json("GET", "downloads?limit=1", { headers: { Authorization: `Bearer ${text}` } });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 401) return setText($("key-fault"), "This is not a key of this service.");
    const { title, advice } = ofCode(problem.code);
    return setText($("key-fault"), `${title}. ${advice}`);
  }
  $("api-key").value = "";
  useKey(text);
}
