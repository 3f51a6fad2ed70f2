// Server-sent events: figures of the page go on while it is seen. A hidden page listens to nothing.
let source = null;

export function listen() {
  const follow = () => (document.hidden ? stop() : start());
  document.addEventListener("visibilitychange", follow);
  window.addEventListener("pagehide", stop);
  follow();
}

function start() {
  if (source) return;
  source = new EventSource("/live");
  source.addEventListener("figures", (event) => {
    for (const [name, value] of Object.entries(JSON.parse(event.data))) {
      const shown = document.querySelector(`[data-figure="${name}"]`);
      if (shown) shown.textContent = value.toLocaleString("en-US");
    }
  });
}

function stop() {
  source?.close();
  source = null;
}
