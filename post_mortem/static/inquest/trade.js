// The post-mortem page: the chart, its evidence chips, its table, and the keys of causes.
import { barAt, clock, drawChart } from "./chart.js";
import { announce, element, readJson } from "./dom.js";
import { bindKey } from "./keys.js";

const data = readJson("chart-data");
const holder = document.getElementById("chart");
const said = document.getElementById("chart-said");
const zoned = clock(data.zone);
const quietText = said.textContent;
const SETTLED = 140; // ms without a scroll: the swipe is over
const pressed = new Set();
let hovered = [];
let drawn = null;

const marks = (id) => document.querySelectorAll(`[data-fact="${CSS.escape(id)}"]`);
const onBar = (seconds) => data.facts.filter((fact) => fact.time === seconds);

function paint() {
  const bright = new Set([...pressed, ...hovered]);
  drawn.light(bright);
  for (const mark of document.querySelectorAll("[data-fact]")) {
    mark.classList.toggle("lit", bright.has(mark.dataset.fact));
    mark.setAttribute("aria-pressed", String(pressed.has(mark.dataset.fact)));
  }
}

function toggle(id) {
  if (!data.facts.some((fact) => fact.id === id)) return jump(id);
  if (pressed.has(id)) pressed.delete(id);
  else {
    pressed.clear();
    pressed.add(id);
    const fact = data.facts.find((known) => known.id === id);
    announce(`${id} on the bar of ${zoned.full(fact.time)}`);
  }
  return paint();
}

// A fact that lies on no bar is shown in the list of all facts.
function jump(id) {
  const target = document.getElementById(id);
  if (!target) return;
  target.closest("details").open = true;
  target.scrollIntoView({ block: "center" });
}

const minus = (text) => text.replace("-", "−");

function describe(seconds) {
  const i = barAt(data.bars.time, seconds);
  if (i < 0 || data.bars.time[i] !== seconds) return `${zoned.full(seconds)} · bar not stored`;
  const value = (name) => minus(data.bars[name][i].toFixed(data.digits));
  const news = data.news
    .filter((item) => barAt(data.bars.time, item.time) === i)
    .map((item) => ` · ${item.currency} ${item.title}`);
  return `${zoned.full(seconds)} · O ${value("open")} H ${value("high")} L ${value("low")} ` +
    `C ${value("close")}${news.join("")}`;
}

function draw() {
  if (drawn) drawn.remove();
  drawn = drawChart(holder, data);
  drawn.onHover((seconds) => {
    said.textContent = seconds === null ? quietText : describe(seconds);
    hovered = seconds === null ? [] : onBar(seconds).map((fact) => fact.id);
    paint();
  });
  drawn.onClick((seconds) => {
    const here = seconds === null ? [] : onBar(seconds);
    if (here.length) toggle(here[0].id);
  });
  holder.dataset.drawn = "yes";
  paint();
}

function chips() {
  for (const mark of document.querySelectorAll("[data-fact]")) {
    mark.addEventListener("click", () => toggle(mark.dataset.fact));
    for (const [event, ids] of [["pointerenter", () => [mark.dataset.fact]], ["pointerleave", () => []]]) {
      mark.addEventListener(event, () => {
        hovered = ids();
        paint();
      });
    }
  }
}

// "," and "." walk through the evidence that lies on bars.
function step(by) {
  if (!data.facts.length) return false;
  const ids = [...new Set(data.facts.map((fact) => fact.id))];
  const at = ids.findIndex((id) => pressed.has(id));
  const to = ids[(at + by + ids.length) % ids.length] ?? ids[0];
  if (!pressed.has(to)) toggle(to);
  const mark = [...marks(to)].find((known) => known.checkVisibility());
  if (mark) mark.scrollIntoView({ block: "nearest", inline: "center" });
  return true;
}

// On a phone the chips lie in a strip under the chart: the one that was swiped to is lit.
function swipe() {
  const strip = document.getElementById("strip");
  if (!strip) return;
  let settled = 0;
  strip.addEventListener("scroll", () => {
    clearTimeout(settled);
    settled = setTimeout(() => {
      const { left, width } = strip.getBoundingClientRect();
      const away = (chip) => {
        const box = chip.getBoundingClientRect();
        return Math.abs(box.left + box.width / 2 - left - width / 2);
      };
      const nearest = [...strip.children].reduce((a, b) => (away(b) < away(a) ? b : a));
      if (!pressed.has(nearest.dataset.fact)) toggle(nearest.dataset.fact);
    }, SETTLED);
  }, { passive: true });
}

function table() {
  const head = ["Time", "Open", "High", "Low", "Close", "Evidence, fills"];
  const body = element("tbody");
  data.bars.time.forEach((seconds, i) => {
    const notes = onBar(seconds).map((fact) => fact.id);
    if (barAt(data.bars.time, data.entry.time) === i) notes.push("in");
    if (data.exit && barAt(data.bars.time, data.exit.time) === i) notes.push("out");
    const row = element("tr", {}, element("td", { text: zoned.full(seconds) }));
    for (const name of ["open", "high", "low", "close"]) {
      row.append(element("td", { class: "num", text: minus(data.bars[name][i].toFixed(data.digits)) }));
    }
    row.append(element("td", { text: notes.join(" ") }));
    body.append(row);
  });
  const titles = head.map((text, i) =>
    element("th", { scope: "col", text, class: i > 0 && i < 5 ? "num" : "" }));
  return element("table", { class: "compact" }, element("thead", {}, element("tr", {}, ...titles)), body);
}

function tableToggle() {
  const button = document.getElementById("chart-toggle");
  const box = document.getElementById("chart-table");
  button.addEventListener("click", () => {
    const on = box.hidden;
    if (on && !box.firstChild) box.append(table());
    box.hidden = !on;
    holder.hidden = on;
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? "Chart" : "Table";
  });
}

// Picking a cause gives it the keys y and n and lights all of its evidence.
function causes() {
  const all = [...document.querySelectorAll("[data-cause]")];
  for (const cause of all) {
    cause.querySelector("[data-cause-pick]").addEventListener("click", () => {
      for (const other of all) {
        other.classList.toggle("picked", other === cause);
        for (const button of other.querySelectorAll("[data-review]")) {
          if (other === cause) button.dataset.key = button.dataset.review;
          else delete button.dataset.key;
        }
      }
      pressed.clear();
      for (const mark of cause.querySelectorAll("button[data-fact]")) pressed.add(mark.dataset.fact);
      paint();
    });
  }
}

draw();
chips();
swipe();
tableToggle();
causes();
bindKey(",", () => step(-1));
bindKey(".", () => step(1));
document.addEventListener("inquest:theme", draw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
