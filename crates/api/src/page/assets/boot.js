// Before anything is painted: scripts work, which colours were chosen, and whether a key has to be asked for first.
(function () {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const recall = (name) => JSON.parse(localStorage.getItem(`haul.${name}`));
    root.classList.toggle("locked", root.dataset.keys === "true" && recall("key") === null);
    const theme = recall("theme");
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  } catch {
    // storage is switched off: nothing was chosen
  }
})();
