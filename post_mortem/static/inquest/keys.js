// Keyboard: single keys press what is on the page. Every key is a named link or button, so nothing
// can be done by key alone, and the single keys can be switched off.
import { foldNavigation, togglePrivacy } from "./preferences.js";

const SWITCH = "inquest-keys";
const WAIT_FOR_SECOND = 1200;
let waiting = 0;

const enabled = () => localStorage.getItem(SWITCH) !== "off";

function typing(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

function focusAtEnd(field) {
  // A field in a fold is shown first.
  for (let fold = field.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  field.focus();
  if (field.setSelectionRange) field.setSelectionRange(field.value.length, field.value.length);
}

function click(selector) {
  const found = [...document.querySelectorAll(selector)].find((e) => e.checkVisibility());
  if (found && found.matches("[data-key-focus]")) focusAtEnd(found);
  else if (found) found.click();
  return Boolean(found);
}

// Lists: one row is selected; its first link opens it.
function rows() {
  return [...document.querySelectorAll("[data-row]")].filter((row) => row.checkVisibility());
}

export function selected() {
  return document.querySelector('[data-row][data-selected="true"]');
}

function move(step) {
  const all = rows();
  if (!all.length) return click(step > 0 ? 'a[rel="next"]' : 'a[rel="prev"]');
  const at = all.indexOf(selected());
  const to = all[Math.max(0, Math.min(all.length - 1, at + step))] ?? all[0];
  for (const row of all) row.dataset.selected = String(row === to);
  to.scrollIntoView({ block: "nearest" });
  const link = to.querySelector("a[href]");
  if (link) link.focus({ preventScroll: true });
  return true;
}

function open() {
  const row = selected();
  const link = row && row.querySelector("a[href]");
  if (link) link.click();
  return Boolean(link);
}

function showKeys() {
  const dialog = document.getElementById("keys");
  if (dialog && !dialog.open) dialog.showModal();
  return Boolean(dialog);
}

function search() {
  const field = document.querySelector("[data-search]");
  if (field) field.focus();
  return Boolean(field);
}

function nextUnit() {
  const links = [...document.querySelectorAll("[data-unit]")];
  const at = links.findIndex((link) => link.getAttribute("aria-current") === "true");
  if (links.length) links[(at + 1) % links.length].click();
  return links.length > 0;
}

function leave() {
  return click("[data-back]");
}

const ACTIONS = {
  j: () => move(1),
  k: () => move(-1),
  "/": search,
  "?": showKeys,
  u: nextUnit,
  p: () => (togglePrivacy(), true),
  Escape: leave,
};

// A page's own keys.
export function bindKey(key, action) {
  ACTIONS[key] = action;
}

function second(key) {
  waiting = 0;
  return click(`[data-go="${CSS.escape(key)}"]`);
}

// A key that belongs to the selected row goes there first, then to the page.
function named(key) {
  const row = selected();
  const selector = `[data-key="${CSS.escape(key)}"]`;
  const inRow = row && row.querySelector(selector);
  if (inRow && inRow.matches("[data-key-focus]")) return focusAtEnd(inRow), true;
  if (inRow) return inRow.click(), true;
  return click(selector);
}

function single(event) {
  if (waiting && Date.now() - waiting < WAIT_FOR_SECOND) return second(event.key);
  if (event.key === "g") {
    waiting = Date.now();
    return true;
  }
  if (event.key === "Enter") return event.target.closest("a, button") ? false : open();
  // What has the focus keeps its own space bar.
  if (event.key === " " && event.target.closest("a, button, summary")) return false;
  const action = ACTIONS[event.key];
  return (action && action()) || named(event.key);
}

function pressed(event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "b") {
    foldNavigation();
    event.preventDefault();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (!enabled() || typing(event.target) || document.querySelector("dialog[open]")) return;
  if (single(event)) event.preventDefault();
}

export function startKeys() {
  document.addEventListener("keydown", pressed);
  for (const button of document.querySelectorAll("[data-keys-open]")) {
    button.addEventListener("click", showKeys);
  }
  for (const box of document.querySelectorAll("[data-keys-off]")) {
    box.checked = !enabled();
    box.addEventListener("change", () => localStorage.setItem(SWITCH, box.checked ? "off" : "on"));
  }
}
