// Charts: use as bars that are as wide as their interval, the register as a line, marks on both.
"use strict";

const USE_PX = 220;
const REGISTER_PX = 160;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const COMMODITIES = ["water", "gas", "electricity", "heat"];
const IDLE = "Point at the chart to read it; drag to look closer, double-click to go back.";

/** Colour tokens of the sheet, so that charts follow light and dark. */
function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function plain(value) {
  return value.toLocaleString("en", { maximumFractionDigits: 6 });
}

function number(value, unit) {
  return value === null || value === undefined ? "–" : `${plain(value)} ${unit}`.trim();
}

function clock(zone) {
  const form = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone, day: "numeric", month: "short", year: "numeric",
    hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  });
  return (at) => form.format(new Date(at));
}

/** A path of rectangles from each interval's beginning to its end. */
function intervals(from) {
  return (u, series, first, last) => {
    const path = new Path2D();
    const base = u.valToPos(0, "y", true);
    for (let i = first; i <= last; i += 1) {
      const value = u.data[series][i];
      if (value === null || value === undefined) continue;
      const left = u.valToPos(from[i], "x", true);
      const right = u.valToPos(u.data[0][i], "x", true);
      const top = u.valToPos(value, "y", true);
      const space = right - left > 4 ? 1 : 0;
      path.rect(left, Math.min(top, base), Math.max(1, right - left - space), Math.abs(base - top));
    }
    return { fill: path, stroke: path };
  };
}

/** The time of an alert's cause, behind everything; to the right edge while it goes on. */
function drawCause(cause) {
  return (u) => {
    if (!cause?.from) return;
    const { ctx, bbox } = u;
    const edge = bbox.left + bbox.width;
    const left = Math.max(bbox.left, u.valToPos(cause.from, "x", true));
    const right = cause.to ? Math.min(edge, u.valToPos(cause.to, "x", true)) : edge;
    ctx.save();
    ctx.fillStyle = token("bad-back");
    ctx.fillRect(left, bbox.top, Math.max(0, right - left), bbox.height);
    ctx.restore();
  };
}

/** Failed readings as triangles at the foot, steps of the register as dashed lines. */
function drawMarks(marks) {
  return (u) => {
    const { ctx, bbox } = u;
    const size = 5 * devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left - size, bbox.top, bbox.width + 2 * size, bbox.height);
    ctx.clip();
    for (const mark of marks) {
      const x = u.valToPos(mark.at, "x", true);
      ctx.beginPath();
      if (mark.kind === "failed") {
        const foot = bbox.top + bbox.height;
        ctx.fillStyle = token("bad");
        ctx.moveTo(x, foot - 2 * size);
        ctx.lineTo(x + size, foot);
        ctx.lineTo(x - size, foot);
        ctx.fill();
      } else {
        ctx.strokeStyle = token("warn");
        ctx.lineWidth = 2 * devicePixelRatio;
        ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.setLineDash([]);
      }
    }
    ctx.restore();
  };
}

/** Both charts leave the same room for their numbers, so that their times stand in one line. */
function axes(chart) {
  const line = { stroke: token("grid"), width: 1 };
  const base = { stroke: token("muted"), grid: line, ticks: line, font: "11px system-ui, sans-serif" };
  const highest = Math.max(0, ...chart.register.filter(Number.isFinite));
  const room = 24 + 6.6 * `${plain(Math.round(highest))}.5 ${chart.unit}`.length;
  const ticks = [
    [DAY_MS * 365, "{YYYY}", null, null, null, null, null, null, 1],
    [DAY_MS * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [DAY_MS, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [60_000, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  ];
  const values = (u, splits) => splits.map((tick, i) => plain(tick) + (i === splits.length - 1 ? ` ${chart.unit}` : ""));
  return [{ ...base, space: 64, values: ticks }, { ...base, size: room, values }];
}

function options(element, height, chart, from, series, extra) {
  const first = from[0];
  return {
    width: element.clientWidth,
    height,
    ms: 1,
    tzDate: (at) => uPlot.tzDate(new Date(at), chart.zone),
    legend: { show: false },
    axes: axes(chart),
    series: [{}, ...series],
    cursor: { drag: { x: true, y: false }, sync: { key: element.dataset.chart } },
    hooks: {
      drawClear: [drawCause(chart.cause)],
      draw: [drawMarks(chart.marks)],
      setCursor: [(u) => show(element, chart, u.cursor.idx)],
    },
    // The first interval begins before the first point.
    scales: { x: { range: (u, low, high) => [low === u.data[0][0] ? first : low, high] }, ...extra },
  };
}

/** What stands under the pointer, in words above the chart. */
function show(element, chart, i) {
  const place = document.getElementById(`${element.dataset.chart}-readout`);
  if (!place) return;
  if (i === null || i === undefined) {
    place.textContent = IDLE;
    return;
  }
  const at = chart.at[i];
  const parts = [clock(chart.zone)(at), `${chart.kind === "instant" ? "value" : "use"} ${number(chart.use[i], chart.unit)}`];
  if (i in chart.estimated) parts.push("spread over a gap");
  if (chart.kind === "register") parts.push(`register ${number(chart.register[i], chart.unit)}`);
  for (const mark of chart.marks) if (mark.at === at) parts.push(mark.text);
  place.textContent = parts.join(" · ");
}

function useRange(u, low, high) {
  const from = { pad: 0, soft: 0, mode: 1 };
  return uPlot.rangeNum(Math.min(0, low ?? 0), Math.max(high ?? 0, 0) || 1, { min: from, max: { pad: 0.1, soft: 0, mode: 0 } });
}

function draw(element, chart) {
  const from = chart.at.map((at, i) => {
    if (i in chart.estimated) return chart.estimated[i];
    return i === 0 && chart.use[0] === null ? at : at - Math.min(chart.interval, at - (chart.at[i - 1] ?? 0));
  });
  const colour = token(COMMODITIES.includes(chart.commodity) ? chart.commodity : "accent");
  const split = (wanted) => chart.use.map((value, i) => (i in chart.estimated === wanted ? value : null));
  const points = { show: false };
  const paths = intervals(from);
  const use = options(element, USE_PX, chart, from, [
    { fill: colour, width: 0, points, paths },
    { fill: `${colour}55`, stroke: colour, width: 1, dash: [3, 3], points, paths },
  ], { y: { range: useRange } });
  const plots = [new uPlot(use, [chart.at, split(false), split(true)], element)];
  if (chart.kind === "register") {
    const line = [{ stroke: token("register"), width: 1.5, points, spanGaps: true }];
    const register = options(element, REGISTER_PX, chart, from, line, {});
    plots.push(new uPlot(register, [chart.at, chart.register], element));
  }
  show(element, chart, null);
  return plots;
}

for (const element of document.querySelectorAll("[data-chart]")) {
  const chart = JSON.parse(document.getElementById(element.dataset.chart).textContent);
  let plots = [];
  const redraw = () => {
    for (const plot of plots) plot.destroy();
    plots = draw(element, chart);
  };
  redraw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = element.clientWidth;
  new ResizeObserver(() => {
    if (element.clientWidth === width) return;
    width = element.clientWidth;
    for (const plot of plots) plot.setSize({ width, height: plot.height });
  }).observe(element);
}
