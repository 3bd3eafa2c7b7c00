// The bars of a chart as a table.
import { element } from "./dom.js";

const HEAD = ["Time", "Open", "High", "Low", "Close", "Evidence, fills"];
const PRICES = ["open", "high", "low", "close"];

export const minus = (text) => text.replace("-", "−");

// `notes` gives what is said of a bar, by its time and index.
export function barTable(data, zoned, notes) {
  const body = element("tbody");
  data.bars.time.forEach((seconds, i) => {
    const row = element("tr", {}, element("td", { text: zoned.full(seconds) }));
    for (const name of PRICES) {
      row.append(element("td", { class: "num", text: minus(data.bars[name][i].toFixed(data.digits)) }));
    }
    row.append(element("td", { text: notes(seconds, i).join(" ") }));
    body.append(row);
  });
  const titles = HEAD.map((text, i) =>
    element("th", { scope: "col", text, class: i > 0 && i < 5 ? "num" : "" }));
  return element("table", { class: "compact" }, element("thead", {}, element("tr", {}, ...titles)), body);
}
