// Sections that go on while they are seen: the server sends them anew when they have changed (web/live.py). Where there is a
// button to say so, new rows do not move what somebody reads: they wait until the pointer, the focus or the selection is
// elsewhere, or it is pressed. A hidden page listens to nothing.
import { showCopyButtons } from "./copy.js";
import { renew } from "./renew.js";

export function follow(section) {
  const shown = section.querySelector("[data-section]");
  const notice = section.querySelector("[data-waiting]");
  let source = null;
  let waiting = null;

  function take(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    const added = notice ? newRows(shown, fresh) : 0;
    if (added > 0 && isRead(shown)) {
      waiting = fresh;
      renewRows(shown, fresh);
      say(`${added} new: show`);
      return;
    }
    show(fresh);
  }

  function show(fresh) {
    waiting = null;
    say("");
    const anchor = firstSeen(shown);
    const before = anchor?.getBoundingClientRect().top;
    const focused = document.activeElement;
    renew(shown, fresh);
    showCopyButtons(shown);
    // Whatever had to be moved has lost it.
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
    if (anchor?.isConnected) window.scrollBy(0, anchor.getBoundingClientRect().top - before);
  }

  function say(text) {
    if (!notice) return;
    notice.hidden = text === "";
    notice.textContent = text;
  }

  function start() {
    if (source) return;
    source = new EventSource(section.dataset.follow);
    source.addEventListener("section", (event) => take(JSON.parse(event.data)));
    // Whoever is turned away tries again when the page is looked at again.
    source.addEventListener("error", () => source?.readyState === EventSource.CLOSED && stop());
  }

  function stop() {
    source?.close();
    source = null;
  }

  const goOn = () => (document.hidden ? stop() : start());
  notice?.addEventListener("click", () => waiting && show(waiting));
  shown.addEventListener("pointerleave", () => waiting && !isRead(shown) && show(waiting));
  document.addEventListener("visibilitychange", goOn);
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", goOn);
  goOn();
}

// Rows above the first one that is there already.
function newRows(shown, fresh) {
  const first = shown.querySelector("tr[data-key]")?.dataset.key;
  if (!first) return 0;
  const keys = [...fresh.querySelectorAll("tr[data-key]")].map((row) => row.dataset.key);
  const place = keys.indexOf(first);
  return place < 0 ? keys.length : place;
}

function renewRows(shown, fresh) {
  const rows = new Map([...fresh.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row]));
  for (const row of shown.querySelectorAll("tr[data-key]")) {
    const next = rows.get(row.dataset.key);
    if (next) renew(row, next);
  }
}

function isRead(shown) {
  const table = shown.querySelector("tbody");
  if (!table) return false;
  const selection = document.getSelection();
  const isSelected = selection !== null && !selection.isCollapsed && selection.containsNode(table, true);
  return isSelected || table.matches(":hover") || table.contains(document.activeElement);
}

// What stands at the top of the window once somebody has scrolled.
function firstSeen(shown) {
  if (window.scrollY === 0) return null;
  return [...shown.querySelectorAll("[data-key]")].find((one) => one.getBoundingClientRect().top >= 0) ?? null;
}
