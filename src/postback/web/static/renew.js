// Makes what is shown the same as what is fresh, and touches nothing else: no flicker, and what is open, chosen or has the
// focus stays so. What has a data-key is known again by it, wherever it stands.
export function renew(shown, fresh) {
  const known = new Map();
  for (const child of shown.children) if (child.dataset.key) known.set(child.dataset.key, child);
  let at = shown.firstChild;
  for (const next of [...fresh.childNodes]) {
    const found = next.dataset?.key ? known.get(next.dataset.key) : isAlike(at, next) ? at : null;
    if (!found) {
      shown.insertBefore(document.importNode(next, true), at);
      continue;
    }
    if (found === at) at = at.nextSibling;
    else shown.insertBefore(found, at);
    renewOne(found, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function isAlike(one, other) {
  return one !== null && one.nodeName === other.nodeName && !one.dataset?.key;
}

function renewOne(shown, fresh) {
  if (shown.isEqualNode(fresh)) return;
  if (shown.nodeType !== Node.ELEMENT_NODE) {
    shown.textContent = fresh.textContent;
    return;
  }
  for (const { name, value } of fresh.attributes) {
    if (!isOurs(shown, name) && shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  for (const { name } of [...shown.attributes]) {
    if (!isOurs(shown, name) && !fresh.hasAttribute(name)) shown.removeAttribute(name);
  }
  renew(shown, fresh);
}

// What a person, or another of our scripts, has made of it.
function isOurs(element, name) {
  return (name === "open" && element.nodeName === "DETAILS") || (name === "hidden" && "copy" in element.dataset);
}
