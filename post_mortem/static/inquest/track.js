// The status of a recommendation. The version that was read goes with every change; when somebody
// was faster the reader chooses between theirs and his own, and nothing is overwritten unseen.
import { announce, element, send } from "./dom.js";
import { selected } from "./keys.js";

const STALE = 412;
const NAMES = { PENDING: "Pending", IMPLEMENTED: "Implemented", IGNORED: "Ignored" };

async function change(box, status, notes) {
  const body = {
    recommendation_id: Number(box.dataset.recommendation),
    status,
    version: Number(box.dataset.version),
  };
  if (notes !== undefined) body.notes = notes;
  return send(box.dataset.track, "POST", body);
}

function accept(box, data, status) {
  const before = box.dataset.status;
  box.dataset.version = data.version;
  box.dataset.status = status;
  box.dataset.before = before;
  box.querySelector("select.status").value = status;
  const undo = box.querySelector("[data-undo]");
  if (undo) undo.hidden = before === status;
  clear(box);
  announce(`Set to ${NAMES[status]}`);
}

function clear(box) {
  for (const old of box.querySelectorAll("[data-track-message]")) old.remove();
}

function refuse(box, text) {
  clear(box);
  box.querySelector("select.status").value = box.dataset.status;
  const message = element("p", { class: "stale", role: "alert", "data-track-message": "" });
  message.append(element("span", { text: `Error. ${text} Nothing was saved.` }));
  box.append(message);
}

// "Anna set this to Implemented at 14:02. Yours was not saved. [Keep hers] [Apply mine]"
function stale(box, current, mine, notes) {
  clear(box);
  const who = current.changed_by || "Somebody";
  const when = current.changed_at
    ? ` at ${new Date(current.changed_at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`
    : "";
  const keep = element("button", { type: "button", class: "button", text: "Keep theirs" });
  const apply = element("button", { type: "button", class: "button", text: "Apply mine" });
  keep.addEventListener("click", () => accept(box, current, current.status));
  apply.addEventListener("click", () => {
    box.dataset.version = current.version;
    box.dataset.status = current.status;
    track(box, mine, notes);
  });
  const said = `${who} set this to ${NAMES[current.status]}${when}. Yours was not saved.`;
  const message = element("div", { class: "stale", role: "alert", "data-track-message": "" });
  message.append(element("span", { text: said }), keep, apply);
  box.append(message);
}

// One change at a time a recommendation: the next one carries the version that the last one made.
const queues = new WeakMap();

function track(box, status, notes) {
  const before = queues.get(box) || Promise.resolve();
  queues.set(box, before.then(() => attempt(box, status, notes)));
}

async function attempt(box, status, notes) {
  const answer = await change(box, status, notes).catch(() => null);
  if (!answer) return refuse(box, "The server did not answer.");
  if (answer.ok) return accept(box, answer.data, status);
  if (answer.status === STALE) {
    const current = await send(box.dataset.state, "GET").catch(() => null);
    if (current && current.ok) return stale(box, current.data, status, notes);
  }
  return refuse(box, answer.data.detail || `The server answered ${answer.status}.`);
}

function press(key, status) {
  const box = (selected() || document).querySelector("[data-track]");
  if (box) track(box, status);
}

export function startTracking() {
  const boxes = document.querySelectorAll("[data-track]");
  for (const box of boxes) {
    const menu = box.querySelector("select.status");
    menu.addEventListener("change", () => track(box, menu.value));
    const undo = box.querySelector("[data-undo]");
    if (undo) undo.addEventListener("click", () => track(box, box.dataset.before));
    const notes = box.querySelector("form[data-notes]");
    if (notes) {
      notes.addEventListener("submit", (event) => {
        event.preventDefault();
        track(box, box.dataset.status, new FormData(notes).get("notes"));
      });
    }
    for (const button of box.querySelectorAll("[data-set-status]")) {
      button.addEventListener("click", () => press(button.dataset.key, button.dataset.setStatus));
    }
  }
}
