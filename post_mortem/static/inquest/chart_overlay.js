// What is drawn over the candles by hand: the wash from entry to exit, fills, news flags, gaps, the
// ends that other plans would have had as dashed ghosts, and the evidence: its bars in gold, in an
// ink bracket, under their E-numbers.
const FLAG_TOP = 6;
const NOTCH = 5;
const PLATE = 9; // half the height of a plate and some air

function dotted(context, colour) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  pen.fillStyle = colour;
  pen.fillRect(1, 1, 1.6, 1.6);
  pen.fillRect(4, 4, 1.6, 1.6);
  return context.createPattern(tile, "repeat");
}

function triangle(pen, x, y, up, size) {
  const tip = up ? y + 2 : y - 2;
  const base = up ? tip + size * 1.5 : tip - size * 1.5;
  pen.beginPath();
  pen.moveTo(x, tip);
  pen.lineTo(x - size, base);
  pen.lineTo(x + size, base);
  pen.closePath();
}

export function overlay(data, colours, [from, to], indexAt) {
  const { time, open, high, low, close } = data.bars;
  const factsAt = new Map();
  for (const fact of data.facts) factsAt.set(fact.time, [...(factsAt.get(fact.time) || []), fact.id]);
  let chart = null;
  let series = null;
  let request = () => {};
  let lit = new Set();

  const x = (i) => chart.timeScale().timeToCoordinate(time[i]);
  const y = (value) => series.priceToCoordinate(value);
  const bar = () => chart.timeScale().options().barSpacing;

  function wash(pen, path, fill, text, below) {
    const left = x(from);
    const right = x(to);
    const a = y(data.entry.price);
    const b = y(path.price);
    if ([left, right, a, b].some((v) => v === null)) return;
    const half = bar() / 2;
    pen.fillStyle = fill;
    pen.fillRect(left - half, Math.min(a, b), right - left + 2 * half, Math.abs(b - a));
    if (!text) return;
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "left";
    const said = `${text} ${path.text}`;
    const width = pen.measureText(said).width;
    // Outside the wash, on the side of the extreme, so that no candle lies under it.
    const line = below ? b + 13 : b - 5;
    pen.fillStyle = colours.surface;
    pen.fillRect(left - half, line - 10, width + 6, 13);
    pen.fillStyle = colours.ink2;
    pen.fillText(said, left - half + 3, line);
  }

  function washes(pen) {
    const { mfe, mae } = data.path;
    // The dots of the loss carry its meaning without colour.
    if (mfe) wash(pen, mfe, colours["profit-wash"], "MFE", data.side < 0);
    if (mae) {
      wash(pen, mae, colours["loss-wash"], "", data.side > 0);
      wash(pen, mae, dotted(pen, colours.loss), "MAE", data.side > 0);
    }
  }

  function gaps(pen) {
    pen.strokeStyle = colours.edge;
    pen.lineWidth = 1;
    pen.setLineDash([3, 3]);
    for (const missing of data.missing) {
      const i = indexAt(missing);
      // One line a gap: it starts at the first missing bar after a stored one.
      if (i < 0 || i + 1 >= time.length || missing !== time[i] + data.barSeconds) continue;
      const ends = [x(i), y(close[i]), x(i + 1), y(open[i + 1])];
      if (ends.some((v) => v === null)) continue;
      pen.beginPath();
      pen.moveTo(ends[0], ends[1]);
      pen.lineTo(ends[2], ends[3]);
      pen.stroke();
    }
    pen.setLineDash([]);
  }

  function fill(pen, mark, up, solid, colour) {
    // A replay may not have come to it yet.
    if (time.at(-1) + data.barSeconds <= mark.time) return;
    const at = x(Math.max(0, indexAt(mark.time)));
    const level = y(mark.price);
    if (at === null || level === null) return;
    triangle(pen, at, level, up, 6);
    pen.lineWidth = 1.6;
    pen.strokeStyle = solid ? colours.surface : colour;
    pen.fillStyle = solid ? colour : colours.surface;
    pen.fill();
    pen.stroke();
  }

  function fills(pen) {
    const long = data.side > 0;
    fill(pen, data.entry, long, false, colours.ink);
    if (!data.exit) return;
    const gain = (data.exit.price - data.entry.price) * data.side;
    fill(pen, data.exit, !long, true, gain > 0 ? colours.profit : gain < 0 ? colours.loss : colours.ink);
  }

  // A ghost starts where the trade ended, beside its own wider stop, and is hollow: it never was.
  function ghosts(pen) {
    if (!data.exit) return;
    const start = [x(Math.max(0, indexAt(data.exit.time))), y(data.exit.price)];
    const said = new Set();
    const taken = [];
    for (const ghost of data.ghosts) {
      const end = [x(indexAt(ghost.time)), y(ghost.price)];
      const stop = y(ghost.stop);
      if ([...start, ...end].some((v) => v === null)) continue;
      pen.strokeStyle = colours.ink2;
      pen.lineWidth = 1.2;
      pen.setLineDash([5, 4]);
      pen.beginPath();
      pen.moveTo(...start);
      pen.lineTo(...end);
      if (stop !== null) {
        pen.moveTo(start[0], stop);
        pen.lineTo(Math.max(end[0], start[0] + 12), stop);
      }
      pen.stroke();
      pen.setLineDash([]);
      pen.beginPath();
      pen.arc(...end, 4, 0, 2 * Math.PI);
      pen.fillStyle = colours.surface;
      pen.fill();
      pen.stroke();
      if (!said.has(ghost.text)) plate(pen, ghost.text, end[0] + 7, end[1], taken);
      said.add(ghost.text);
    }
  }

  // Where a plate of a width covers neither candles nor another plate, nearest to its point.
  function freeOf(left, middle, width, taken) {
    const under = time.map((_, i) => i).filter((i) => {
      const at = x(i);
      return at !== null && at + bar() / 2 > left && at - bar() / 2 < left + width;
    });
    const blocks = under.map((i) => [y(high[i]) - PLATE, y(low[i]) + PLATE]);
    for (const other of taken) {
      if (other.left < left + width && left < other.left + other.width) {
        blocks.push([other.middle - 2 * PLATE, other.middle + 2 * PLATE]);
      }
    }
    const clear = (at) => blocks.every(([top, bottom]) => at <= top || at >= bottom);
    const places = [middle, ...blocks.flat()].filter(clear);
    return places.reduce((a, b) => (Math.abs(b - middle) < Math.abs(a - middle) ? b : a), places[0] ?? middle);
  }

  function plate(pen, text, left, wanted, taken) {
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "left";
    const width = pen.measureText(text).width + 6;
    const middle = freeOf(left, wanted, width, taken);
    taken.push({ left, width, middle });
    if (Math.abs(middle - wanted) > PLATE) {
      pen.strokeStyle = colours.edge;
      pen.lineWidth = 1;
      pen.setLineDash([1, 2]);
      pen.beginPath();
      pen.moveTo(left + 1, wanted);
      pen.lineTo(left + 1, middle);
      pen.stroke();
      pen.setLineDash([]);
    }
    pen.fillStyle = colours.surface;
    pen.fillRect(left, middle - 7, width, 14);
    pen.fillStyle = colours.ink2;
    pen.fillText(text, left + 3, middle + 4);
  }

  function flags(pen, height) {
    pen.lineWidth = 1;
    pen.strokeStyle = colours.ink2;
    pen.fillStyle = colours.ink2;
    for (const news of data.news) {
      const i = indexAt(news.time);
      const at = i < 0 ? null : x(i);
      if (at === null) continue;
      pen.globalAlpha = news.impact === 0 ? 0.45 : 1;
      pen.beginPath();
      pen.moveTo(at, FLAG_TOP);
      pen.lineTo(at, FLAG_TOP + 18);
      pen.stroke();
      // One to three notches: low, medium, high impact.
      for (let n = 0; n <= news.impact; n += 1) pen.fillRect(at, FLAG_TOP + n * NOTCH, 7, 3);
      if (news.impact === 2) {
        pen.setLineDash([1, 3]);
        pen.beginPath();
        pen.moveTo(at, FLAG_TOP + 18);
        pen.lineTo(at, height);
        pen.stroke();
        pen.setLineDash([]);
      }
      pen.globalAlpha = 1;
    }
  }

  function bracket(pen, left, right, top, bottom) {
    const tick = 4;
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 1;
    pen.beginPath();
    for (const [edge, inward] of [[left, tick], [right, -tick]]) {
      pen.moveTo(edge + inward, top);
      pen.lineTo(edge, top);
      pen.lineTo(edge, bottom);
      pen.lineTo(edge + inward, bottom);
    }
    pen.stroke();
  }

  function label(pen, text, at, above) {
    pen.font = "600 10px ui-monospace, monospace";
    const width = pen.measureText(text).width + 8;
    pen.fillStyle = colours.evid;
    pen.fillRect(at - width / 2, above - 15, width, 14);
    pen.strokeStyle = colours.ink;
    pen.strokeRect(at - width / 2, above - 15, width, 14);
    pen.fillStyle = colours["on-evid"];
    pen.textAlign = "center";
    pen.fillText(text, at, above - 4.5);
  }

  function evidence(pen) {
    for (const [seconds, ids] of factsAt) {
      const shown = ids.filter((id) => lit.has(id));
      if (!shown.length) continue;
      const i = indexAt(seconds);
      const at = x(i);
      const [top, bottom, first, last] = [high[i], low[i], open[i], close[i]].map(y);
      if ([at, top, bottom, first, last].some((v) => v === null)) continue;
      const half = Math.max(2, bar() * 0.36);
      pen.fillStyle = colours.evid;
      pen.strokeStyle = colours.ink;
      pen.lineWidth = 1;
      pen.fillRect(at - 1, top, 2, bottom - top);
      pen.fillRect(at - half, Math.min(first, last), half * 2, Math.max(2, Math.abs(last - first)));
      pen.strokeRect(at - half, Math.min(first, last), half * 2, Math.max(2, Math.abs(last - first)));
      bracket(pen, at - half - 3, at + half + 3, top - 3, bottom + 3);
      label(pen, shown.join(" "), at, top - 6);
    }
  }

  function ambiguous(pen) {
    if (!data.ambiguous) return;
    const at = x(to);
    const [top, bottom] = [high[to], low[to]].map(y);
    if (at === null || top === null) return;
    const half = Math.max(3, bar() * 0.5);
    pen.setLineDash([3, 2]);
    bracket(pen, at - half - 2, at + half + 2, top - 3, bottom + 3);
    pen.setLineDash([]);
    pen.fillStyle = colours.ink;
    pen.font = "10px system-ui, sans-serif";
    pen.textAlign = "left";
    pen.fillText("SL+TP", at + half + 5, top + 8);
  }

  const layer = (order, draw) => ({
    zOrder: () => order,
    renderer: () => ({
      draw: (target) => target.useMediaCoordinateSpace(({ context, mediaSize }) => {
        context.save();
        draw(context, mediaSize.height);
        context.restore();
      }),
    }),
  });
  const under = layer("bottom", (pen) => {
    washes(pen);
    gaps(pen);
  });
  const over = layer("top", (pen, height) => {
    flags(pen, height);
    ambiguous(pen);
    ghosts(pen);
    evidence(pen);
    fills(pen);
  });

  return {
    attached(parts) {
      ({ chart, series } = parts);
      request = parts.requestUpdate;
    },
    detached() {
      chart = series = null;
    },
    paneViews: () => [under, over],
    updateAllViews() {},
    light(ids) {
      lit = new Set(ids);
      request();
    },
  };
}
