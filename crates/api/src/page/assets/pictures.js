// Pictures come one after another, with the key where one is needed: waiting for many would leave no connection for what
// matters.

import { ask } from "./api.js";
import { pause, show } from "./dom.js";

// Twelve seconds each: longer than one may take.
const MOST_TRIES = 6;

let last = Promise.resolve();
const nearby = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      nearby.unobserve(target);
      last = last.then(() => load(target));
    }
  },
  { rootMargin: "300px" },
);

// Shows the picture at this path of the API once it is near the view; null: none.
export function picture(img, path) {
  if (!take(img, path)) return;
  // a hidden image is never near the view; the frame around it is
  nearby.observe(img.parentElement);
}

// Shows it without waiting for others.
export function pictureNow(img, path) {
  if (take(img, path)) load(img.parentElement);
}

function take(img, path) {
  if ((img.dataset.path ?? null) === path) return false;
  forget(img);
  if (path !== null) img.dataset.path = path;
  return path !== null;
}

export function forget(img) {
  show(img, false);
  delete img.dataset.path;
  delete img.dataset.tries;
  if (img.src.startsWith("blob:")) URL.revokeObjectURL(img.src);
  img.removeAttribute("src");
}

async function load(frame) {
  const img = frame.querySelector("img");
  const path = img.dataset.path;
  if (path === undefined || !frame.isConnected) return;
  const tries = Number(img.dataset.tries ?? 0) + 1;
  try {
    const blob = await (await ask("GET", path, { cache: "default" })).blob();
    if (img.dataset.path !== path) return;
    img.src = URL.createObjectURL(blob);
    await img.decode();
    show(img, true);
  } catch (problem) {
    // it is still being made
    if (problem.status !== 409 || tries >= MOST_TRIES) return;
    img.dataset.tries = tries;
    pause((problem.wait ?? 2) * 1000).then(() => nearby.observe(frame));
  }
}
