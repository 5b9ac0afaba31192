// One download in the list.

import { actions, saveText } from "./actions.js";
import { isUnfinished } from "./api.js";
import { $, make, set, setText, show } from "./dom.js";
import { clock, site } from "./format.js";
import { deserted } from "./live.js";
import { forget, picture } from "./pictures.js";
import { amount, details, standing, titleOf } from "./words.js";

// Only these are changed by the clock alone.
const TICK = 1000;
const ticking = new Set();
setInterval(() => ticking.forEach((row) => row.say()), TICK);

export class Row {
  // `standIn` is told to take the row's place while its deletion can be taken back.
  constructor(job, standIn) {
    this.node = $("row-template").content.firstElementChild.cloneNode(true);
    this.node.id = `job-${job.id}`;
    this.node.tabIndex = -1;
    const title = this.part(".title");
    title.id = `title-${job.id}`;
    for (const control of this.node.querySelectorAll("a, button")) set(control, "aria-describedby", title.id);
    for (const name of ["notes", "rating"]) {
      this.part(`.${name}`).id = `${name}-${job.id}`;
      this.part(`.${name}-label`).htmlFor = `${name}-${job.id}`;
    }
    actions(this, standIn);
    this.update(job);
  }

  part(selector) {
    return this.node.querySelector(selector);
  }

  // Says how something that was asked for went.
  tell(text) {
    setText(this.part(".said"), text);
  }

  update(job) {
    // it ages all the same
    if (this.job === job) return this.say();
    this.job = job;
    if (!isUnfinished(job)) this.isStopping = false;
    const { request, media, result, links, library } = job;
    set(this.node, "data-status", job.status);
    setText(this.part(".title"), titleOf(job));
    const asked = result ? null : `${request.format}${request.quality === "best" ? "" : ` ${request.quality}`}`;
    const facts = [site(media?.webpage_url ?? request.url), media?.uploader, amount(job) || asked, ...request.tags.map((tag) => `#${tag}`)];
    setText(this.part(".facts"), facts.filter(Boolean).join(" · "));
    setText(this.part(".length"), clock(result?.duration_seconds ?? media?.duration_seconds));
    picture(this.part(".picture img"), links.thumbnail ? `downloads/${job.id}/thumbnail` : null);
    this.say();
    this.offer(job, library);
    this.bar(job);
    if (!this.part(".details").hidden) this.detail();
    if (job.status === "queued" && job.next_attempt_at) ticking.add(this);
    else ticking.delete(this);
  }

  // It has been cancelled; its programs take a while to end.
  stop(is) {
    this.isStopping = is;
    this.say();
  }

  say() {
    setText(this.part(".state-words"), this.isStopping ? "Stopping…" : standing(this.job, deserted));
  }

  bar({ status, progress }) {
    const bar = this.part(".bar");
    show(bar, status === "running" || (status === "queued" && progress.percent > 0));
    if (bar.hidden) return;
    set(bar, "aria-valuenow", Math.floor(progress.percent));
    bar.firstElementChild.style.transform = `scaleX(${progress.percent / 100})`;
  }

  // Which actions make sense now.
  offer(job, library) {
    const is = (...statuses) => statuses.includes(job.status);
    const offered = {
      save: is("completed"),
      play: is("completed") && /^(video|audio)\//.test(job.result?.content_type ?? ""),
      copy: is("completed"),
      favourite: is("completed"),
      retry: is("failed", "cancelled"),
      cancel: isUnfinished(job),
      delete: !isUnfinished(job),
    };
    const focused = this.node.contains(document.activeElement) ? document.activeElement : null;
    for (const [name, can] of Object.entries(offered)) show(this.part(`.${name}`), can);
    // what had the focus is no longer there: the row has it, not the top of the page
    if (focused?.hidden) this.node.focus({ preventScroll: true });
    set(this.part(".favourite"), "aria-pressed", library.favourite);
    show(this.part(".own"), is("completed"));
    const { notes, rating } = this.fields();
    if (document.activeElement !== notes && !notes.dataset.unsent) notes.value = library.notes ?? "";
    if (document.activeElement !== rating) rating.value = library.rating ?? "";
    set(this.part(".source"), "href", job.media?.webpage_url ?? job.request.url);
    if (!is("completed")) this.closePlayer();
  }

  fields() {
    return { notes: this.part(".notes"), rating: this.part(".rating") };
  }

  detail() {
    const pairs = details(this.job);
    const told = JSON.stringify(pairs);
    const list = this.part("dl");
    if (list.dataset.told === told) return;
    list.dataset.told = told;
    this.part(".texts").replaceChildren(
      ...(this.job.result?.subtitles ?? [])
        .filter((text) => text.link)
        .map((text) => {
          const button = make("button", { type: "button", className: "small", textContent: `Save subtitles: ${text.language}` });
          set(button, "aria-describedby", this.part(".title").id);
          button.addEventListener("click", () => saveText(this, text));
          return button;
        }),
    );
    list.replaceChildren(
      ...pairs.map(([name, value]) => make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))),
    );
  }

  openPlayer(url) {
    const sound = this.job.result.content_type.startsWith("audio/");
    const media = make(sound ? "audio" : "video", { controls: true, src: url, preload: "metadata" });
    set(media, "aria-labelledby", this.part(".title").id);
    media.addEventListener("error", () => this.tell("It cannot be played here. Save it instead."));
    this.part(".player").replaceChildren(media);
    show(this.part(".player"), true);
    set(this.part(".play"), "aria-expanded", true);
    media.play().catch(() => {});
  }

  closePlayer() {
    const player = this.part(".player");
    if (player.hidden) return;
    // without this it is fetched on behind our back
    player.firstElementChild?.removeAttribute("src");
    player.firstElementChild?.load();
    player.replaceChildren();
    show(player, false);
    set(this.part(".play"), "aria-expanded", false);
  }

  dispose() {
    ticking.delete(this);
    this.closePlayer();
    forget(this.part(".picture img"));
  }

  remove() {
    this.dispose();
    this.node.remove();
  }
}
