// Buttons that put a text on the clipboard; shown only where that works.
export function showCopyButtons(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("button[data-copy][hidden]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      const label = button.getAttribute("aria-label");
      button.classList.add("is-done");
      button.setAttribute("aria-label", "Copied");
      setTimeout(() => {
        button.classList.remove("is-done");
        button.setAttribute("aria-label", label);
      }, 1500);
    });
  }
}
