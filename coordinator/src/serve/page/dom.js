// How the page is changed in place. It knows nodes and texts, and nothing of grids.

import { ago, moment } from "./figures.js";

/** The coordinator's clock less this machine's, ms: ages are told by the coordinator's. */
let ahead = 0;

/** An element with attributes and children; texts become text. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Sets a text, and leaves the node alone where nothing changes: a selection in it survives. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function mark(node, name, on) {
  if (node.classList.contains(name) !== on) node.classList.toggle(name, on);
}

/** Shows a verdict or a state: by word and symbol as well as by colour. */
export function badge(node, [word, symbol, kind]) {
  const name = `badge ${kind}`;
  if (node.className !== name) node.className = name;
  say(node, `${symbol} ${word}`);
}

/** Makes a container's children those of these items: `key` tells them apart, `create` makes a node, `update` fills it.
 * A node that stays is not moved while those before it go or come. Returns the nodes that went. */
export function list(container, items, { key, create, update }) {
  const nodes = (container.keyed ??= new Map());
  const wanted = new Map(items.map((item) => [key(item), item]));
  const gone = [...nodes].filter(([name]) => !wanted.has(name));
  for (const [name, node] of gone) {
    nodes.delete(name);
    node.remove();
  }
  let next = container.firstChild;
  for (const [name, item] of wanted) {
    const node = nodes.get(name) ?? create(item);
    nodes.set(name, node);
    if (node === next) next = next.nextSibling;
    else container.insertBefore(node, next);
    update(node, item);
  }
  return gone.map(([, node]) => node);
}

/** Takes the coordinator's present, in ms since 1970. */
export function setClock(now) {
  if (Number.isFinite(now)) ahead = now - Date.now();
}

/** Shows an instant by its age, which grows by itself; in full when pointed at. */
export function sayTime(node, instant) {
  const at = Date.parse(instant);
  if (node.dateTime !== (instant ?? "")) {
    node.dateTime = instant ?? "";
    node.title = moment(instant);
  }
  say(node, Number.isNaN(at) ? moment(instant) : ago((Date.now() + ahead - at) / 1000));
}

/** Lets all ages grow. */
export function tick() {
  for (const node of document.querySelectorAll("time[datetime]")) {
    if (node.dateTime !== "") sayTime(node, node.dateTime);
  }
}
