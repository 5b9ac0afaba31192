// What this browser remembers. It may refuse to: then everything is as on the first visit.

export function recall(name, usual = null) {
  try {
    return JSON.parse(localStorage.getItem(`haul.${name}`)) ?? usual;
  } catch {
    return usual;
  }
}

export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(`haul.${name}`);
    else localStorage.setItem(`haul.${name}`, JSON.stringify(value));
  } catch {
    // full, or switched off
  }
}
