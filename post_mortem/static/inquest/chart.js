// The one module around the chart library: ink candles, the trade in colour, evidence in gold.
import { overlay } from "./chart_overlay.js";

const NAMES = ["paper", "surface", "line", "edge", "ink", "ink2", "ink3", "profit", "profit-wash",
  "loss", "loss-wash", "evid", "on-evid"];
const CONTEXT_BEFORE = 40;
const CONTEXT_AFTER = 16;
const MOST_GHOST_BARS = 160;
const GROWING_BARS = 90;
const GROWING_ROOM = 14;
const SMALL = 400;

// Custom properties are read through a probe, because light-dark() is only resolved in a colour.
function palette() {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const colours = {};
  for (const name of NAMES) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colours;
}

export function clock(zone) {
  const options = { timeZone: zone, hourCycle: "h23" };
  const time = new Intl.DateTimeFormat("en-GB", { ...options, hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat("en-GB", { ...options, day: "numeric", month: "short" });
  const year = new Intl.DateTimeFormat("en-GB", { ...options, year: "numeric" });
  const at = (seconds) => new Date(seconds * 1000);
  return {
    time: (seconds) => time.format(at(seconds)),
    full: (seconds) => `${day.format(at(seconds))} ${time.format(at(seconds))}`,
    // The library asks with 0 year, 1 month, 2 day, 3 time, 4 time with seconds.
    tick: (seconds, kind) =>
      kind === 0 ? year.format(at(seconds)) : kind < 3 ? day.format(at(seconds)) : time.format(at(seconds)),
  };
}

// Index of the bar that holds a moment; -1 before the first.
export function barAt(times, seconds) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= seconds) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function candles(data) {
  const { time, open, high, low, close } = data.bars;
  const rows = time.map((t, i) => ({ time: t, open: open[i], high: high[i], low: low[i], close: close[i] }));
  if (!data.missing.length) return rows;
  // A bar that should be there and is not keeps its place, empty.
  return [...rows, ...data.missing.map((t) => ({ time: t }))].sort((a, b) => a.time - b.time);
}

function life(data) {
  const times = data.bars.time;
  const from = Math.max(0, barAt(times, data.entry.time));
  const to = data.exit ? barAt(times, data.exit.time) : barAt(times, data.span[1]);
  return [from, Math.max(from, to)];
}

// Unrealised result at each close while open, ending with the fill: in R, else in price.
function running(data) {
  const [from, to] = life(data);
  const { time, close } = data.bars;
  const scale = data.side / (data.risk || 1);
  return time.map((t, i) => {
    if (i < from || i > to || t + data.barSeconds <= data.entry.time) return { time: t };
    const price = i === to && data.exit ? data.exit.price : close[i];
    return { time: t, value: (price - data.entry.price) * scale };
  });
}

function frame(LC, holder, data, colours) {
  const zoned = clock(data.zone);
  return LC.createChart(holder, {
    autoSize: true,
    layout: {
      attributionLogo: false, // printed in the footer: the logo would need an inline style
      background: { type: "solid", color: colours.surface },
      textColor: colours.ink2,
      fontFamily: getComputedStyle(document.body).fontFamily,
      fontSize: 11,
      panes: { separatorColor: colours.line, separatorHoverColor: colours.line, enableResize: false },
    },
    grid: { vertLines: { visible: false }, horzLines: { color: colours.line } },
    rightPriceScale: { borderVisible: false, minimumWidth: 60 },
    timeScale: {
      borderColor: colours.line,
      timeVisible: true,
      secondsVisible: false,
      tickMarkFormatter: zoned.tick,
      minBarSpacing: 1.5,
    },
    crosshair: {
      mode: 0,
      vertLine: { color: colours.edge, labelBackgroundColor: colours.ink2 },
      horzLine: { color: colours.edge, labelBackgroundColor: colours.ink2 },
    },
    localization: { locale: "en-GB", timeFormatter: zoned.full },
    handleScroll: { vertTouchDrag: false },
  });
}

function priceSeries(LC, chart, data, colours) {
  const values = [...data.levels, ...data.ghosts].map((level) => level.price);
  values.push(...data.ghosts.map((ghost) => ghost.stop));
  const series = chart.addSeries(LC.CandlestickSeries, {
    upColor: colours.surface,
    downColor: colours.ink3,
    borderUpColor: colours.ink3,
    borderDownColor: colours.ink3,
    wickUpColor: colours.ink3,
    wickDownColor: colours.ink3,
    priceLineVisible: false,
    lastValueVisible: false,
    priceFormat: { type: "price", precision: data.digits, minMove: 10 ** -data.digits },
    // Stop and target belong in the picture even where no bar reached them.
    autoscaleInfoProvider: (original) => {
      const info = original();
      if (!info) return info;
      const { minValue, maxValue } = info.priceRange;
      return {
        priceRange: { minValue: Math.min(minValue, ...values), maxValue: Math.max(maxValue, ...values) },
        margins: { above: 26, below: 14 },
      };
    },
  });
  series.setData(candles(data));
  const colour = { entry: colours.ink, stop: colours.loss, target: colours.profit };
  const style = {
    entry: LC.LineStyle.Solid,
    stop: LC.LineStyle.LargeDashed,
    target: LC.LineStyle.Dotted,
  };
  for (const level of data.levels) {
    series.createPriceLine({
      price: level.price,
      color: colour[level.kind],
      lineWidth: 1,
      lineStyle: style[level.kind],
      axisLabelVisible: true,
      axisLabelTextColor: colours.surface,
      title: level.text,
    });
  }
  return series;
}

function resultSeries(LC, chart, data, colours) {
  const series = chart.addSeries(
    LC.BaselineSeries,
    {
      baseValue: { type: "price", price: 0 },
      topLineColor: colours.profit,
      topFillColor1: colours["profit-wash"],
      topFillColor2: colours["profit-wash"],
      bottomLineColor: colours.loss,
      bottomFillColor1: colours["loss-wash"],
      bottomFillColor2: colours["loss-wash"],
      lineWidth: 1,
      priceLineVisible: false,
      lastValueVisible: false,
      priceFormat: data.risk
        ? { type: "custom", minMove: 0.01, formatter: (r) => `${r.toFixed(2).replace("-", "−")} R` }
        : { type: "price", precision: data.digits, minMove: 10 ** -data.digits },
    },
    1,
  );
  series.setData(running(data));
  return series;
}

function spreads(data) {
  return data.bars.time.map((time, i) => ({ time, value: data.bars.spread[i] }));
}

function spreadSeries(LC, chart, data, colours) {
  const series = chart.addSeries(
    LC.HistogramSeries,
    {
      color: colours.edge,
      priceLineVisible: false,
      lastValueVisible: false,
      priceFormat: { type: "custom", minMove: 0.1, formatter: (size) => `${size.toFixed(1)} ${data.spreadUnit}` },
    },
    2,
  );
  series.setData(spreads(data));
  return series;
}

function show(chart, data) {
  const [from, to] = life(data);
  const wide = data.bars.time.length;
  const context = Math.max(CONTEXT_BEFORE, Math.round((to - from) / 3));
  // Other plans' ends are shown where they are near enough to leave the trade in sight.
  const ends = data.ghosts.map((ghost) => barAt(data.bars.time, ghost.time));
  const last = Math.max(to, ...ends.filter((i) => i - to <= MOST_GHOST_BARS));
  // Whitespace for missing bars shifts the library's logical index.
  const before = (i) => i + data.missing.filter((t) => t < data.bars.time[i]).length;
  chart.timeScale().setVisibleLogicalRange({
    from: Math.max(-1, before(from) - context),
    to: Math.min(before(wide - 1) + 2, before(last) + Math.max(CONTEXT_AFTER, Math.round(context / 2))),
  });
}

// Draws `data` into `holder`. `grow` draws it again after its bars changed, the last in sight.
export function drawChart(holder, data) {
  const LC = window.LightweightCharts;
  const colours = palette();
  const chart = frame(LC, holder, data, colours);
  const price = priceSeries(LC, chart, data, colours);
  const marks = overlay(data, colours, life(data), (seconds) => barAt(data.bars.time, seconds));
  price.attachPrimitive(marks);
  const tall = holder.clientHeight > SMALL;
  let result = null;
  let spread = null;
  if (tall) {
    result = resultSeries(LC, chart, data, colours);
    if (data.bars.spread) spread = spreadSeries(LC, chart, data, colours);
    const panes = chart.panes();
    [6.4, 1.5, 0.9].forEach((share, i) => panes[i] && panes[i].setStretchFactor(share));
  }
  show(chart, data);
  return {
    light(ids) {
      marks.light(ids);
      holder.dataset.lit = [...ids].join(" ");
    },
    onHover(react) {
      chart.subscribeCrosshairMove((event) => react(event.time ?? null));
    },
    onClick(react) {
      chart.subscribeClick((event) => react(event.time ?? null));
    },
    grow() {
      price.setData(candles(data));
      if (result) result.setData(running(data));
      if (spread) spread.setData(spreads(data));
      const last = data.bars.time.length + data.missing.length;
      chart.timeScale().setVisibleLogicalRange({ from: last - GROWING_BARS, to: last + GROWING_ROOM });
    },
    remove: () => chart.remove(),
  };
}
