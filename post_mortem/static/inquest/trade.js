// The post-mortem page: the chart, its evidence chips, its table, and the keys of causes.
import { barAt, clock, drawChart } from "./chart.js";
import { barTable, minus } from "./chart_table.js";
import { announce, readJson, tableToggle } from "./dom.js";
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

const fact = (id) => data.facts.find((known) => known.id === id);
const marks = (id) => document.querySelectorAll(`[data-fact="${CSS.escape(id)}"]`);
const onBar = (seconds) => data.facts.filter((fact) => fact.time === seconds);

function paint() {
  const bright = new Set([...pressed, ...hovered]);
  drawn.light(bright);
  for (const mark of document.querySelectorAll("[data-fact]")) {
    mark.classList.toggle("lit", bright.has(mark.dataset.fact));
    mark.setAttribute("aria-pressed", String(pressed.has(mark.dataset.fact)));
  }
  // The cause that a fact speaks about answers as well.
  const causes = new Set([...bright].map((id) => fact(id)?.cause));
  for (const part of document.querySelectorAll("[data-cause], [data-of]")) {
    part.classList.toggle("lit", causes.has(part.dataset.cause ?? part.dataset.of));
  }
}

function toggle(id) {
  if (!fact(id)) return jump(id);
  if (pressed.has(id)) pressed.delete(id);
  else {
    pressed.clear();
    pressed.add(id);
    announce(`${id} on the bar of ${zoned.full(fact(id).time)}: ${fact(id).text}`);
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
    for (const [event, ids] of [["pointerenter", () => [mark.dataset.fact]], ["pointerleave", () => []],
      ["focus", () => (mark.matches(":focus-visible") ? [mark.dataset.fact] : [])], ["blur", () => []]]) {
      mark.addEventListener(event, () => {
        hovered = ids();
        const known = fact(hovered[0]);
        said.textContent = known ? `${known.id} ${known.text}` : quietText;
        paint();
      });
    }
  }
}

// "," and "." walk through the evidence that lies on bars, in the order of time.
function step(by) {
  if (!data.facts.length) return false;
  const told = [...document.querySelectorAll("#timeline [data-fact]")].map((e) => e.dataset.fact);
  const place = (known) => (told.includes(known.id) ? told.indexOf(known.id) : told.length);
  const inTime = [...data.facts].sort((a, b) => a.at - b.at || place(a) - place(b));
  const ids = [...new Set(inTime.map((known) => known.id))];
  const at = ids.findIndex((id) => pressed.has(id));
  const to = ids[(at + by + ids.length) % ids.length] ?? ids[0];
  if (!pressed.has(to)) toggle(to);
  // A chip in sight comes into view; so does its event on the timeline.
  const seen = [...marks(to)].filter((known) => known.checkVisibility());
  const event = seen.find((known) => known.closest("#timeline"));
  for (const mark of new Set([event, seen[0]])) {
    if (mark) mark.scrollIntoView({ block: "nearest", inline: "center" });
  }
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

function notesOf(seconds, i) {
  const notes = onBar(seconds).map((known) => known.id);
  if (barAt(data.bars.time, data.entry.time) === i) notes.push("in");
  if (data.exit && barAt(data.bars.time, data.exit.time) === i) notes.push("out");
  return notes;
}

// The events are there as a table too.
function eventTable() {
  const button = document.getElementById("timeline-toggle");
  if (!button) return;
  tableToggle(button, document.getElementById("timeline"), document.getElementById("timeline-table"),
    "Timeline", () => {});
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
tableToggle(document.getElementById("chart-toggle"), holder, document.getElementById("chart-table"),
  "Chart", (box) => box.append(barTable(data, zoned, notesOf)));
eventTable();
causes();
bindKey(",", () => step(-1));
bindKey(".", () => step(1));
document.addEventListener("inquest:theme", draw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
