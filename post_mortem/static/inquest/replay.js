// A trade bar by bar. Bars are asked for one at a time; what was not asked for is not here.
import { barAt, clock, drawChart } from "./chart.js";
import { barTable, minus } from "./chart_table.js";
import { announce, readJson, tableToggle } from "./dom.js";

const data = readJson("chart-data");
const holder = document.getElementById("chart");
const controls = document.getElementById("replay");
const [back, play, on] = ["back", "play", "on"].map((name) => document.getElementById(`replay-${name}`));
const said = document.getElementById("replay-said");
const speed = document.getElementById("replay-speed");
const zoned = clock(data.zone);
const box = document.getElementById("chart-table");
const COLUMNS = Object.keys(data.bars).filter((name) => data.bars[name]);
// All that was sent so far; `data.bars` are those of them that are shown.
const known = Object.fromEntries(COLUMNS.map((name) => [name, [...data.bars[name]]]));
const context = known.time.length;
let step = 0;
let more = data.more;
let timer = 0;
let asking = false;
let drawn = null;

const seen = () => known.time.length - context;

function say() {
  const last = data.bars.time.length - 1;
  const price = (name) => minus(data.bars[name][last].toFixed(data.digits));
  const moved = (data.bars.close[last] - data.entry.price) * data.side;
  const open = step === 0 ? "before the entry"
    : data.risk ? `${moved > 0 ? "+" : ""}${minus((moved / data.risk).toFixed(2))} R at the close` : "";
  const end = more || step < seen() ? "" : " · no later bars are stored";
  said.textContent = `${zoned.full(data.bars.time[last])} · O ${price("open")} H ${price("high")} ` +
    `L ${price("low")} C ${price("close")}${open ? ` · ${open}` : ""}${end}`;
  back.disabled = step === 0;
  on.disabled = !more && step === seen();
  controls.dataset.step = step;
}

// Columns are changed in place: the chart's overlay reads the same arrays.
function show(to) {
  step = to;
  for (const name of COLUMNS) {
    data.bars[name].splice(0, data.bars[name].length, ...known[name].slice(0, context + step));
  }
  data.span[1] = data.bars.time.at(-1);
  drawn.grow();
  fillTable();
  say();
}

// The bars so far, the last in sight; made again only while it is looked at.
function fillTable() {
  box.replaceChildren();
  if (box.hidden) return;
  const entry = data.entry.time < data.bars.time.at(-1) + data.barSeconds
    ? barAt(data.bars.time, data.entry.time) : -1;
  box.append(barTable(data, zoned, (_, i) => (i === entry ? ["in"] : [])));
  box.scrollTop = box.scrollHeight;
}

async function ask() {
  const query = new URLSearchParams({ tf: controls.dataset.timeframe, have: step, step: step + 1 });
  const answer = await fetch(`${controls.dataset.bars}?${query}`, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  const later = await answer.json();
  for (const name of COLUMNS) known[name].push(...later.bars[name]);
  data.missing.splice(0, data.missing.length, ...later.missing);
  data.news.splice(0, data.news.length, ...later.news);
  more = later.more;
}

async function forward() {
  if (asking) return;
  asking = true;
  try {
    if (step === seen() && more) await ask();
    if (step < seen()) show(step + 1);
    else stop();
  } catch (error) {
    stop();
    const why = error instanceof TypeError ? "The server did not answer." : error.message;
    said.textContent = `Error. ${why} Press Next bar to try again.`;
  } finally {
    asking = false;
  }
  if (!more && step === seen()) stop();
}

function stop() {
  clearInterval(timer);
  timer = 0;
  play.textContent = "Play";
  play.setAttribute("aria-pressed", "false");
}

function start() {
  clearInterval(timer);
  timer = setInterval(forward, 1000 / Number(speed.value));
  play.textContent = "Pause";
  play.setAttribute("aria-pressed", "true");
}

function draw() {
  if (drawn) drawn.remove();
  drawn = drawChart(holder, data);
  drawn.grow();
  holder.dataset.drawn = "yes";
}

tableToggle(document.getElementById("chart-toggle"), holder, box, "Chart", () => {
  box.hidden = false;
  fillTable();
});
play.addEventListener("click", () => (timer ? stop() : start()));
on.addEventListener("click", () => {
  stop();
  forward().then(() => announce(said.textContent));
});
back.addEventListener("click", () => {
  stop();
  if (step > 0) show(step - 1);
  announce(said.textContent);
});
speed.addEventListener("change", () => timer && start());
document.addEventListener("inquest:theme", draw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
say();
