// Relative times go on while a page is open; the words are those of the server (web/shown.py).
const STEPS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [5184000, 86400, "d"]];
const EVERY_MS = 5000;

export function keepTimesFresh(root) {
  setInterval(() => {
    for (const time of root.querySelectorAll("time[data-ms]")) {
      const said = ago(Number(time.dataset.ms), Date.now());
      if (said !== null && said !== time.textContent) time.textContent = said;
    }
  }, EVERY_MS);
}

export function ago(ms, now) {
  const seconds = Math.trunc((now - ms) / 1000);
  const size = Math.abs(seconds);
  if (size < 2) return "now";
  for (const [limit, unit, word] of STEPS) {
    if (size < limit) {
      return seconds > 0 ? `${Math.floor(size / unit)} ${word} ago` : `in ${Math.floor((size + unit / 2) / unit)} ${word}`;
    }
  }
  return null;
}
