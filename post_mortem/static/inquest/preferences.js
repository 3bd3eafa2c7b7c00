// Theme, hidden money, folded navigation: cookies, so that the server draws the first frame right.
import { announce } from "./dom.js";

const YEAR = 365 * 24 * 3600;
const THEMES = ["", "light", "dark"];
const THEME_NAMES = { "": "as the system", light: "light", dark: "dark" };

export function remember(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=${YEAR}; samesite=lax`;
}

function nameTheme() {
  for (const label of document.querySelectorAll("[data-theme-name]")) {
    label.textContent = THEME_NAMES[document.documentElement.dataset.theme || ""];
  }
}

function turnTheme() {
  const now = THEMES.indexOf(document.documentElement.dataset.theme || "");
  const theme = THEMES[(now + 1) % THEMES.length];
  document.documentElement.dataset.theme = theme;
  remember("theme", theme);
  nameTheme();
  document.dispatchEvent(new CustomEvent("inquest:theme"));
}

export function togglePrivacy() {
  const on = document.documentElement.dataset.privacy !== "on";
  document.documentElement.dataset.privacy = on ? "on" : "";
  remember("privacy", on ? "on" : "");
  for (const button of document.querySelectorAll("[data-privacy-toggle]")) {
    button.setAttribute("aria-pressed", String(on));
  }
  announce(on ? "Money is hidden" : "Money is shown");
}

export function foldNavigation() {
  const folded = document.documentElement.dataset.nav !== "folded";
  document.documentElement.dataset.nav = folded ? "folded" : "";
  remember("nav", folded ? "folded" : "");
}

export function startPreferences() {
  nameTheme();
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.addEventListener("click", turnTheme);
  }
  for (const button of document.querySelectorAll("[data-privacy-toggle]")) {
    button.addEventListener("click", togglePrivacy);
  }
  for (const link of document.querySelectorAll("[data-unit]")) {
    link.addEventListener("click", () => remember("unit", link.dataset.unit));
  }
}
