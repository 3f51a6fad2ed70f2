// Makes pages smoother; every one of them works without.
import { showCopyButtons } from "./copy.js";
import { keepTimesFresh } from "./times.js";
import { keepPreviewFresh } from "./preview.js";
import { follow } from "./follow.js";

showCopyButtons(document);
keepTimesFresh(document);
closeMenusElsewhere();
document.getElementById("problems")?.focus();
for (const form of document.querySelectorAll("form[data-preview]")) keepPreviewFresh(form);
for (const section of document.querySelectorAll("[data-follow]")) follow(section);

function closeMenusElsewhere() {
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.drop[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.drop[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}
