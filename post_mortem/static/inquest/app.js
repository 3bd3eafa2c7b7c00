// Every page: theme, privacy, navigation, keys, confirmations; and the parts a page may hold.
import { startJobs } from "./jobs.js";
import { startKeys } from "./keys.js";
import { remember, startPreferences } from "./preferences.js";
import { startTracking } from "./track.js";

startPreferences();
startKeys();
startTracking();
startJobs();

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
}

// A menu of a filter applies itself; without scripts its button does.
for (const form of document.querySelectorAll("form[data-auto]")) {
  form.addEventListener("change", () => form.requestSubmit());
  // Empty keys would only make the address longer.
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
}

// On a phone the filters fold behind their counted button, and what is read last behind its title.
if (window.matchMedia("(width <= 640px)").matches) {
  for (const box of document.querySelectorAll(".filter-box, [data-fold]")) box.open = false;
}

// The chosen columns are remembered for the next visit.
for (const form of document.querySelectorAll("form[data-columns]")) {
  form.addEventListener("submit", () => remember("columns", new FormData(form).getAll("column").join(".")));
}
