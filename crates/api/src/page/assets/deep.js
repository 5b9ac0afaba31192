// The page of one download, with scripts: the whole page, at that download.
(function () {
  const [, before, id] = /^(.*\/)downloads\/([0-9a-f-]{36})/.exec(location.pathname) ?? [];
  if (id) location.replace(`${before}#${id}`);
})();
