// Numbers as people read and write them.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(count) {
  if (count === null || count === undefined) return "";
  let unit = 0;
  while (count >= 999.5 && unit < UNITS.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${count < 9.95 && unit > 0 ? count.toFixed(1) : Math.round(count)} ${UNITS[unit]}`;
}

// 1:02:03 or 2:03
export function clock(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (part) => String(part).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// 90, 1:30, 1:02:03.5; null: nothing was written; NaN: it is no time
export function seconds(text) {
  const parts = text.trim();
  if (parts === "") return null;
  if (!/^(\d+:)?(\d{1,2}:)?\d+(\.\d+)?$/.test(parts)) return NaN;
  return parts.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

// "12 s", "3 min", "2 h"
export function wait(count) {
  const left = Math.max(1, Math.ceil(count));
  if (left < 100) return `${left} s`;
  if (left < 5400) return `${Math.round(left / 60)} min`;
  return left < 172_800 ? `${Math.round(left / 3600)} h` : `${Math.round(left / 86_400)} days`;
}

export function ordinal(number) {
  const kind = new Intl.PluralRules("en", { type: "ordinal" }).select(number);
  return `${number}${{ one: "st", two: "nd", few: "rd", other: "th" }[kind]}`;
}

export const until = (time) => (new Date(time) - Date.now()) / 1000;

export function moment(time) {
  return new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

// The host of an address, without what says nothing.
export function site(url) {
  try {
    return new URL(url).host.replace(/^www\./, "");
  } catch {
    return "";
  }
}
