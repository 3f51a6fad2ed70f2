// The body that a config would send, made anew by the server whenever the form changes.
import { showCopyButtons } from "./copy.js";

const WAIT_MS = 300;

export function keepPreviewFresh(form) {
  const shown = document.getElementById("preview");
  let waiting = null;
  let asked = null;

  async function refresh() {
    asked?.abort();
    asked = new AbortController();
    const fields = new FormData(form);
    fields.set("preview", "1");
    // No body depends on them.
    for (const field of form.querySelectorAll("input[type=password]")) fields.delete(field.name);
    try {
      const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(fields), signal: asked.signal });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("preview");
      if (!fresh) return;
      // The place itself stays, so that whoever listens to the page is told what has changed in it.
      shown.replaceChildren(...fresh.childNodes);
      showCopyButtons(shown);
    } catch (error) {
      if (error.name === "AbortError") return;
      shown.textContent = "No body to show: the server cannot be reached.";
    }
  }

  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(refresh, WAIT_MS);
  });
  form.querySelector("button[name=preview]").addEventListener("click", (event) => {
    event.preventDefault();
    refresh();
  });
}
