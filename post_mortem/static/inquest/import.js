// Preview and import without leaving the page: the browser keeps the chosen file between the two.
import { announce } from "./dom.js";

const form = document.getElementById("import-form");
const result = document.getElementById("import-result");
const said = document.getElementById("import-said");

function showPart(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  result.replaceChildren(...parsed.body.childNodes);
  // What went wrong or was noticed may name a field in there.
  if (result.querySelector(".note")) document.getElementById("import-options").open = true;
  result.scrollIntoView({ block: "nearest" });
}

async function upload(event) {
  event.preventDefault();
  const what = event.submitter && event.submitter.value === "import" ? "import" : "preview";
  const body = new FormData(form);
  body.set("do", what);
  const buttons = form.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  said.textContent = what === "import" ? "Importing …" : "Reading …";
  try {
    const headers = { "X-Requested-With": "fetch" };
    const answer = await fetch(form.action, { method: "POST", body, headers });
    showPart(await answer.text());
    announce(what === "import" ? "Imported" : "Preview is ready");
    said.textContent = "";
  } catch {
    said.textContent = "The server did not answer. Nothing is known to be saved; look at the history.";
  }
  for (const button of form.querySelectorAll("button")) button.disabled = false;
}

form.addEventListener("submit", upload);
// What was previewed belongs to the old choice.
form.addEventListener("change", () => result.replaceChildren());
