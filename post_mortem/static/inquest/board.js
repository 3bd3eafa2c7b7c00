// The board: choosing many, changing them together, opening what is behind a row; and on the page
// of one recommendation its scope and merging.
import { announce, element, send } from "./dom.js";
import { post, show } from "./track.js";

const picks = () => [...document.querySelectorAll("[data-pick]")];
const chosen = () => picks().filter((pick) => pick.checked);
const boxOf = (pick) => pick.closest("[data-track]");

// --- many at once -------------------------------------------------------------------------------
function startBulk(form) {
  const count = form.querySelector("[data-bulk-count]");
  const said = form.querySelector("[data-bulk-said]");
  const back = form.querySelector("[data-bulk-back]");
  let batch = "";

  function refresh() {
    const n = chosen().length;
    form.hidden = n === 0 && !batch;
    count.textContent = n ? `${n} chosen` : "";
  }

  for (const pick of picks()) pick.addEventListener("change", refresh);
  form.querySelector("[data-bulk-clear]").addEventListener("click", () => {
    for (const pick of picks()) pick.checked = false;
    batch = "";
    refresh();
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const changes = changesOf(form);
    const boxes = chosen().map(boxOf);
    if (!boxes.length || !Object.keys(changes).length) {
      said.textContent = "Choose what to set.";
      return;
    }
    const items = boxes.map((box) => ({
      recommendation_id: Number(box.dataset.recommendation),
      version: Number(box.dataset.version),
    }));
    const answer = await send(form.dataset.bulk, "POST", { items, ...changes }).catch(() => null);
    if (!answer || !answer.ok) {
      const why = answer ? answer.data.detail : "The server did not answer.";
      said.textContent = `Error. ${why} Nothing was saved.`;
      return;
    }
    apply(boxes, answer.data, changes);
    batch = answer.data.batch;
    back.hidden = !batch;
    said.textContent = told(answer.data);
    announce(said.textContent);
    for (const pick of chosen()) pick.checked = !(boxOf(pick).dataset.recommendation in answer.data.changed);
    refresh();
  });

  back.addEventListener("click", async () => {
    const answer = await send(form.dataset.bulkUndo, "POST", { batch }).catch(() => null);
    // What each was before is the server's to say.
    if (answer && answer.ok) window.location.reload();
    else said.textContent = "Error. It could not be taken back.";
  });
}

function changesOf(form) {
  const changes = {};
  const { status, owner, due_date: due } = form.elements;
  if (status.value) changes.status = status.value;
  if (owner.value) changes.owner = owner.value === "-" ? null : owner.value.slice(1);
  if (due.value) changes.due_date = due.value;
  return changes;
}

function apply(boxes, data, changes) {
  for (const box of boxes) {
    const version = data.changed[box.dataset.recommendation];
    if (version === undefined) continue;
    show(box, { status: box.dataset.status, ...changes, version });
  }
}

function told(data) {
  const parts = [`Changed ${Object.keys(data.changed).length}.`];
  const late = data.stale.length;
  if (late) parts.push(`${late} changed by somebody else meanwhile: not touched.`);
  const not = data.refused.length + data.missing.length;
  if (not) parts.push(`${not} not yours to change.`);
  return parts.join(" ");
}

// --- what is behind a row -----------------------------------------------------------------------
function startMore(fold) {
  fold.addEventListener("toggle", async () => {
    if (!fold.open || fold.dataset.loaded) return;
    fold.dataset.loaded = "yes";
    const here = fold.querySelector("[data-more-here]");
    const answer = await fetch(fold.dataset.more, { credentials: "same-origin" }).catch(() => null);
    const text = answer && answer.ok ? await answer.text() : "";
    const found = new DOMParser().parseFromString(text, "text/html").querySelector("[data-detail]");
    if (found) here.replaceChildren(...found.children);
    else here.prepend(element("span", { text: "It could not be loaded. " }));
  });
}

// --- one recommendation -------------------------------------------------------------------------
function startScope(form) {
  const box = document.querySelector("[data-track]");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = [...new FormData(form)].map(([name, value]) => [name, value.trim()]);
    const scope = Object.fromEntries(given.filter(([, value]) => value));
    post(box, () => ({ url: box.dataset.track, body: { status: box.dataset.status, scope } }), "Scope saved");
  });
}

function startMerge(form) {
  const box = document.querySelector("[data-track]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const into = Number(form.elements.into.value);
    const body = {
      recommendation_id: Number(box.dataset.recommendation),
      version: Number(box.dataset.version),
      into,
    };
    const answer = await send(form.dataset.merge, "POST", body).catch(() => null);
    if (answer && answer.ok) window.location.assign(`/recommendations/${into}/`);
    else announce(answer ? answer.data.detail : "The server did not answer.");
  });
}

for (const form of document.querySelectorAll("form[data-bulk]")) startBulk(form);
for (const fold of document.querySelectorAll("details[data-more]")) startMore(fold);
for (const form of document.querySelectorAll("form[data-scope]")) startScope(form);
for (const form of document.querySelectorAll("form[data-merge]")) startMerge(form);
