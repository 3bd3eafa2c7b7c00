// The state of a recommendation. The version that was read goes with every change; when somebody
// was faster the reader chooses between theirs and his own, and nothing is overwritten unseen.
import { announce, element, send } from "./dom.js";
import { selected } from "./keys.js";

const STALE = 412;
const NAMES = { PENDING: "Pending", IMPLEMENTED: "Implemented", IGNORED: "Ignored" };

function identity(box) {
  return {
    recommendation_id: Number(box.dataset.recommendation),
    version: Number(box.dataset.version),
  };
}

// What the page shows of a recommendation follows what the server said it is now.
export function show(box, data) {
  box.dataset.version = data.version;
  box.dataset.status = data.status;
  box.querySelector("select.status").value = data.status;
  const undo = box.querySelector("[data-undo]");
  if (undo) undo.hidden = false;
  const owner = box.querySelector('[data-shown="owner"]');
  if (owner && data.owner !== undefined) owner.textContent = data.owner || "nobody";
  const due = box.querySelector('[data-shown="due_date"]');
  if (due && data.due_date !== undefined) {
    due.textContent = data.due_date ? `due ${data.due_date}` : "";
    due.classList.remove("overdue");
  }
  const fields = box.querySelector("form[data-fields]");
  if (fields && data.notes !== undefined) {
    for (const field of fields.elements) {
      if (field.name in data) field.value = data[field.name] ?? "";
    }
    remember(fields);
  }
}

function accept(box, data, said) {
  show(box, data);
  clear(box);
  announce(said || `Set to ${NAMES[data.status]}`);
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
function stale(box, current, again) {
  clear(box);
  const who = current.changed_by || "Somebody";
  const when = current.changed_at
    ? ` at ${new Date(current.changed_at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`
    : "";
  const keep = element("button", { type: "button", class: "button", text: "Keep theirs" });
  const apply = element("button", { type: "button", class: "button", text: "Apply mine" });
  keep.addEventListener("click", () => accept(box, current));
  apply.addEventListener("click", () => {
    box.dataset.version = current.version;
    box.dataset.status = current.status;
    again();
  });
  const said = `${who} set this to ${NAMES[current.status]}${when}. Yours was not saved.`;
  const message = element("div", { class: "stale", role: "alert", "data-track-message": "" });
  message.append(element("span", { text: said }), keep, apply);
  box.append(message);
}

// One change at a time a recommendation: the next one carries the version that the last one made.
const queues = new WeakMap();

function queued(box, work) {
  const before = queues.get(box) || Promise.resolve();
  queues.set(box, before.then(work));
}

// `make` gives the address and the body once it is this change's turn.
export function post(box, make, said) {
  const again = () => queued(box, attempt);
  async function attempt() {
    const { url, body } = make();
    const answer = await send(url, "POST", { ...identity(box), ...body }).catch(() => null);
    if (!answer) return refuse(box, "The server did not answer.");
    if (answer.ok) return accept(box, answer.data, said);
    if (answer.status === STALE) {
      const current = await send(box.dataset.state, "GET").catch(() => null);
      if (current && current.ok) return stale(box, current.data, again);
    }
    return refuse(box, answer.data.detail || `The server answered ${answer.status}.`);
  }
  again();
}

function track(box, changes, said) {
  const status = () => changes.status || box.dataset.status;
  post(box, () => ({ url: box.dataset.track, body: { ...changes, status: status() } }), said);
}

function press(box, changes) {
  track((selected() && selected().querySelector("[data-track]")) || box, changes);
}

// --- the form of fields: only what was changed is sent ------------------------------------------
const NUMBERS = new Set(["effort_hours", "claimed_effect_r"]);
const CLEARED = new Set(["owner", "due_date", ...NUMBERS]);

function remember(form) {
  for (const field of form.elements) if (field.name) field.dataset.was = field.value;
}

function changed(form) {
  const found = {};
  for (const field of form.elements) {
    if (!field.name || field.value === field.dataset.was) continue;
    if (CLEARED.has(field.name) && field.value === "") found[field.name] = null;
    else found[field.name] = NUMBERS.has(field.name) ? Number(field.value) : field.value;
  }
  return found;
}

export function startTracking() {
  for (const box of document.querySelectorAll("[data-track]")) {
    const menu = box.querySelector("select.status");
    menu.addEventListener("change", () => track(box, { status: menu.value }));
    const undo = box.querySelector("[data-undo]");
    const back = () => ({ url: box.dataset.undoUrl, body: {} });
    if (undo) undo.addEventListener("click", () => post(box, back, "Taken back"));
    const fields = box.querySelector("form[data-fields]");
    if (fields) {
      remember(fields);
      fields.addEventListener("submit", (event) => {
        event.preventDefault();
        const changes = changed(fields);
        if (Object.keys(changes).length) track(box, changes, "Saved");
        else announce("Nothing was changed");
      });
    }
    for (const button of box.querySelectorAll("[data-set-status]")) {
      button.addEventListener("click", () => press(box, { status: button.dataset.setStatus }));
    }
  }
}
