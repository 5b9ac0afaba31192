// Touching the document. Data becomes text or a property, never markup; what is as it should be is left alone, so that
// focus, selection and playing media survive.

export const $ = (id) => document.getElementById(id);

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, is) {
  if (node && node.hidden === is) node.hidden = !is;
}

export function set(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// Options of a select, the chosen one kept if it is still there.
export function setOptions(select, options) {
  const told = JSON.stringify(options);
  if (select.dataset.options === told) return;
  const chosen = select.value;
  select.dataset.options = told;
  select.replaceChildren(...options.map(([value, text]) => make("option", { value, textContent: text })));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

export function later(work, milliseconds) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
}

// Ends early, and without complaint, when the signal does.
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
