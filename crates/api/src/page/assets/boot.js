// Before anything is painted: scripts work, and which colours were chosen.
(function () {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const theme = JSON.parse(localStorage.getItem("haul.theme"));
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  } catch {
    // storage is switched off: nothing was chosen
  }
})();
