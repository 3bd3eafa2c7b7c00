// The review of a period: steps, presenting them, and decisions that are saved as they are made.
import { announce } from "./dom.js";
import { bindKey, selected } from "./keys.js";

const phone = window.matchMedia("(width <= 640px)");
const page = document.documentElement;
let at = 1;
let privacyBefore = null;

const review = () => document.getElementById("review");
const steps = () => [...review().querySelectorAll("[data-step]")];
const presenting = () => page.dataset.presenting === "on";
const oneAtATime = () => presenting() || phone.matches;

// --- Steps: all open on a desk, one on a phone or on the wall -----------------------------------
function show(step, { scroll = true } = {}) {
  const all = steps();
  at = Math.max(1, Math.min(all.length, step));
  for (const [i, box] of all.entries()) {
    const current = i + 1 === at;
    box.toggleAttribute("data-current", current);
    box.open = oneAtATime() ? current : true;
  }
  const current = all[at - 1];
  review().querySelector("[data-step-said]").textContent = `Step ${at} of ${all.length}`;
  for (const button of review().querySelectorAll("[data-step-by]")) {
    button.disabled = at + Number(button.dataset.stepBy) < 1 || at + Number(button.dataset.stepBy) > all.length;
  }
  if (presenting()) {
    document.querySelector("#review-said .note.done")?.remove();
    window.scrollTo(0, 0);
    announce(`Step ${at}: ${current.querySelector("h2").textContent}`);
  } else if (scroll) {
    current.scrollIntoView({ block: "start" });
  }
  return true;
}

const step = (by) => show(at + by);

// --- Presenting ---------------------------------------------------------------------------------
async function present() {
  privacyBefore = page.dataset.privacy || "";
  page.dataset.presenting = "on";
  page.dataset.privacy = "on";
  // Where full screen is refused, the window itself is the screen.
  if (page.requestFullscreen) await page.requestFullscreen().catch(() => {});
  show(at);
}

function endPresenting() {
  if (!presenting()) return false;
  delete page.dataset.presenting;
  page.dataset.privacy = privacyBefore;
  if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  show(at);
  return true;
}

document.addEventListener("fullscreenchange", () => {
  if (!document.fullscreenElement) endPresenting();
});

// --- Saving without leaving the page ------------------------------------------------------------
function say(...nodes) {
  const box = document.getElementById("review-said");
  box.replaceChildren(...nodes);
  if (nodes.length) box.scrollIntoView({ block: "nearest" });
}

function refused(answer) {
  const stale = answer.querySelector("[data-stale]");
  if (stale) {
    stale.className = "stale";
    return say(stale);
  }
  const error = answer.querySelector(".note.error");
  if (error) return say(error);
  return failed();
}

function failed() {
  const template = document.createElement("p");
  template.className = "note error";
  template.setAttribute("role", "alert");
  template.textContent = "Error. The server did not answer as expected. Nothing is known to be saved; reload to see.";
  say(template);
}

// The server's page is the only rendering: its review takes the place of this one.
function replace(answer) {
  const made = answer.getElementById("review");
  if (!made) return failed();
  review().replaceWith(made);
  start();
  const note = answer.querySelector(".note.done");
  if (note) {
    announce(note.textContent);
    say(note);
  }
  return undefined;
}

async function save(event) {
  const form = event.target.closest("form[data-save]");
  if (!form) return;
  event.preventDefault();
  const body = new FormData(form, event.submitter);
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  try {
    // Not `form.action`: a field of that name would be found instead.
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body });
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.ok) replace(parsed);
    else refused(parsed);
  } catch {
    failed();
  }
  for (const button of form.querySelectorAll("button")) button.disabled = false;
}

// --- Keys ---------------------------------------------------------------------------------------
// Nothing is decided by a key on a proposal that was not chosen: the first press chooses it.
function decide(key) {
  const row = selected();
  if (row && row.checkVisibility()) return false; // the key's own button in the row
  const first = [...review().querySelectorAll("[data-row]")].find((each) => each.checkVisibility());
  if (!first || !first.querySelector(`[data-key="${key}"]`)) return true;
  first.dataset.selected = "true";
  first.scrollIntoView({ block: "nearest" });
  announce(`Chosen: ${first.querySelector(".advice-text").textContent}. Press ${key} again.`);
  return true;
}

for (const key of ["a", "e", "d"]) bindKey(key, () => decide(key));
bindKey("Escape", () => endPresenting());
bindKey("ArrowRight", () => presenting() && step(1));
bindKey("ArrowLeft", () => presenting() && step(-1));
for (const number of "1234567") bindKey(number, () => show(Number(number)));

// --- Wiring -------------------------------------------------------------------------------------
document.addEventListener("submit", save);

document.addEventListener("click", (event) => {
  const by = event.target.closest("[data-step-by]");
  if (by) step(Number(by.dataset.stepBy));
  if (event.target.closest("[data-present]")) present();
  if (event.target.closest("[data-present-end]")) endPresenting();
  if (event.target.closest("[data-print]")) window.print();
});

// A fold that is opened by hand becomes the one that is open.
function onToggle(event) {
  const box = event.target;
  if (!oneAtATime() || !box.matches("[data-step]")) return;
  if (box.open && Number(box.dataset.step) !== at) show(Number(box.dataset.step));
}

function start() {
  review().addEventListener("toggle", onToggle, true);
  if (phone.matches) for (const box of review().querySelectorAll("[data-fold]")) box.open = false;
  show(at, { scroll: false });
}

const asked = window.location.hash.match(/^#step-([1-7])$/);
if (asked) at = Number(asked[1]);
phone.addEventListener("change", () => show(at, { scroll: false }));
start();
