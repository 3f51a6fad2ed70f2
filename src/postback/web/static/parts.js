// Parts of a page that live: the server sends them anew when anything has happened, and they become that in place.
// A hidden page listens to nothing.
import { become } from "./become.js";

export function keepPartsFresh(place) {
  let source = null;

  function start() {
    if (source) return;
    source = new EventSource(place.dataset.parts);
    source.addEventListener("parts", (event) => {
      const fresh = place.cloneNode(false);
      fresh.append(...new DOMParser().parseFromString(JSON.parse(event.data), "text/html").body.childNodes);
      const focused = document.activeElement;
      become(place, fresh);
      // Whatever had to be moved has lost it.
      if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
    });
  }

  function stop() {
    source?.close();
    source = null;
  }

  const follow = () => (document.hidden ? stop() : start());
  document.addEventListener("visibilitychange", follow);
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", follow);
  follow();
}
