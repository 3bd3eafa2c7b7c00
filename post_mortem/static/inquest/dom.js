// Small helpers: elements without HTML from text, the CSRF token, announcements to readers.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function announce(text) {
  const region = document.getElementById("announce");
  if (region) region.textContent = text;
}

// A picture and its table take turns; `fill` is called when the table is first shown empty.
export function tableToggle(button, picture, box, name, fill) {
  button.addEventListener("click", () => {
    const on = box.hidden;
    if (on && !box.firstChild) fill(box);
    box.hidden = !on;
    picture.hidden = on;
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? name : "Table";
  });
}

export function csrfToken() {
  const field = document.querySelector("input[name=csrfmiddlewaretoken]");
  return field ? field.value : "";
}

export function readJson(id) {
  const holder = document.getElementById(id);
  return holder ? JSON.parse(holder.textContent) : null;
}

// The API's errors are {code, detail}; a broken answer still says something.
export async function send(url, method, body) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  if (body) headers["Content-Type"] = "application/json";
  const options = { method, headers, credentials: "same-origin" };
  if (body) options.body = JSON.stringify(body);
  const answer = await fetch(url, options);
  const data = await answer.json().catch(() => ({}));
  return { ok: answer.ok, status: answer.status, data };
}
