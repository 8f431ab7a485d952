// The small charts of a running test: its last seconds as lines and bars. It knows rows of figures and nothing of runs.
//
// A chart is drawn in the pixels that it has, so that its text is legible at any width. What can't be drawn (no
// sample, not a number) is a gap, never a zero.

import { NONE, clock, sane } from "./figures.js";

const SVG = "http://www.w3.org/2000/svg";
/** Seconds that are shown. */
const WINDOW = 120;
const [TOP, BOTTOM, RIGHT] = [8, 24, 10];
/** A logarithmic scale where the largest value is more than this many times the smallest, as in the reports. */
const LOG_FROM = 100;
/** Seconds without a row that are no gap yet. */
const GAP = 1.5;
const CLOCK_STEPS = [1, 2, 5, 10, 15, 30, 60];

function draw(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

/** To 1, 2 or 5 times a power of ten, in the direction that `whole` rounds to. */
function round(value, whole) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-12)));
  const digit = value / power;
  const steps = [1, 2, 5, 10];
  const up = steps.find((step) => step >= digit - 1e-9);
  const down = steps.findLast((step) => step <= digit + 1e-9);
  return ((whole === "up" ? up : down) ?? 1) * power;
}

function linear(top, least) {
  const step = Math.max(round(top / 4, "up"), least);
  const steps = Math.max(Math.ceil(top / step - 1e-9), 1);
  const ticks = Array.from({ length: steps + 1 }, (_, n) => n * step);
  return { ticks, share: (value) => value / (steps * step) };
}

function powers(low, high) {
  const [from, to] = [round(low, "down"), round(high, "up")];
  const decades = Math.floor(Math.log10(to) + 1e-9) - Math.ceil(Math.log10(from) - 1e-9);
  const every = Math.max(1, Math.ceil(decades / 4));
  const first = Math.ceil(Math.log10(from) - 1e-9);
  const ticks = Array.from({ length: Math.floor(decades / every) + 1 }, (_, n) => 10 ** (first + n * every));
  return { ticks, share: (value) => Math.log10(Math.max(value, from) / from) / Math.log10(to / from) };
}

/** The scale of what is to be drawn: from zero, or by powers of ten where that would flatten the small values. */
function scale(values, { log = false, least = 0, rest = 1 }) {
  const some = values.filter((value) => value !== null && value > 0);
  const [low, high] = [Math.min(...some), Math.max(...some)];
  if (some.length === 0) return linear(rest, least);
  return log && high > low * LOG_FROM ? powers(low, high) : linear(high, least);
}

/** A chart. `series` says what is drawn of a row: `{name, class, of, bar}`, and whether it is `optional`; `show` writes a value with its unit. */
export class Chart {
  constructor({ title, series, show, axis, scaling = {}, none = "" }) {
    Object.assign(this, { title, series, show, axis, scaling, none, rows: [], length: null, pointed: null });
    this.svg = draw("svg", { class: "chart small", role: "img" });
    this.key = document.createElement("ul");
    this.key.className = "key";
    this.figures = series.map((one) => this.keyOf(one));
    const heading = document.createElement("h4");
    heading.textContent = title;
    const caption = document.createElement("figcaption");
    caption.append(heading, this.key);
    this.node = document.createElement("figure");
    this.node.append(caption, this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.observer = new ResizeObserver(() => this.redraw());
    this.observer.observe(this.svg);
  }

  /** To be called when it is shown no more. */
  end() {
    this.observer.disconnect();
  }

  /** Shows these rows: `[t, …]` in order of time. `length` is the run's in seconds, null where nobody knows it. */
  update(rows, length) {
    this.rows = rows.filter((row) => sane(row?.[0]) !== null);
    this.length = sane(length);
    this.redraw();
  }

  keyOf({ name, class: kind, bar }) {
    const item = document.createElement("li");
    const sample = draw("svg", { "aria-hidden": "true", viewBox: "0 0 30 10" });
    sample.append(bar ? draw("rect", { class: kind, x: 9, width: 12, height: 10 }) : draw("path", { class: `line ${kind}`, d: "M1 5h28" }));
    const figure = document.createElement("b");
    item.append(sample, `${name} `, figure);
    this.key.append(item);
    return figure;
  }

  point(event) {
    const left = this.svg.getBoundingClientRect().left;
    const t = event && this.frame ? this.frame.time(event.clientX - left) : null;
    const nearest = (best, row) => (best === null || Math.abs(row[0] - t) < Math.abs(best[0] - t) ? row : best);
    this.pointed = t === null ? null : (this.shown().reduce(nearest, null)?.[0] ?? null);
    this.redraw();
  }

  window() {
    const last = this.rows.at(-1)?.[0] ?? 0;
    const to = Math.max(last, Math.min(this.length ?? WINDOW, WINDOW), 1);
    return [Math.max(0, to - WINDOW), to];
  }

  shown() {
    const [from] = this.window();
    return this.rows.filter((row) => row[0] >= from);
  }

  redraw() {
    const rows = this.shown();
    const read = rows.find((row) => row[0] === this.pointed) ?? rows.at(-1);
    this.series.forEach(({ of, optional }, place) => {
      const value = read ? sane(of(read)) : null;
      this.figures[place].parentNode.hidden = optional === true && rows.every((row) => sane(of(row)) === null);
      this.figures[place].textContent = value === null ? NONE : this.show(value);
    });
    this.svg.setAttribute("aria-label", this.tell(rows));
    const values = rows.flatMap((row) => this.series.map(({ of }) => sane(of(row))));
    const y = scale(values, this.scaling);
    this.frame = this.measure(y);
    const parts = [...this.yAxis(y), ...this.xAxis(), ...this.series.map((one) => this.shape(one, rows, y))];
    if (this.pointed !== null) parts.push(draw("path", { class: "pointed", d: `M${this.frame.x(this.pointed)} ${TOP}V${this.frame.floor}` }));
    if (this.none && !values.some((value) => value > 0)) parts.push(draw("text", { class: "mid", x: this.frame.middle, y: this.frame.floor / 2 + 6 }, this.none));
    this.svg.replaceChildren(...parts);
  }

  /** In words, for who does not see it. */
  tell(rows) {
    if (rows.length === 0) return `${this.title}: nothing measured yet`;
    const told = this.series.map(({ name, of }) => {
      const values = rows.map((row) => sane(of(row))).filter((value) => value !== null);
      if (values.length === 0) return `${name}: none`;
      return `${name} ${this.show(values.at(-1))}, at most ${this.show(Math.max(...values))}`;
    });
    return `${this.title} of the last ${clock(rows.at(-1)[0] - rows[0][0])}: ${told.join("; ")}`;
  }

  /** Places in pixels. */
  measure(y) {
    const [width, height] = [Math.max(this.svg.clientWidth, 160), Math.max(this.svg.clientHeight, 80)];
    const floor = height - BOTTOM;
    const left = Math.max(...y.ticks.map((tick) => this.axis(tick).length)) * 6.6 + 12;
    const [from, to] = this.window();
    const across = width - left - RIGHT;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    return {
      width,
      height,
      left,
      floor,
      middle: left + across / 2,
      x: (t) => (left + ((t - from) / (to - from)) * across).toFixed(1),
      time: (x) => from + ((x - left) / across) * (to - from),
      y: (value) => (floor - Math.min(y.share(value), 1) * (floor - TOP)).toFixed(1),
    };
  }

  yAxis({ ticks }) {
    const { left, width, y } = this.frame;
    return ticks.flatMap((tick) => [
      draw("path", { class: "grid", d: `M${left} ${y(tick)}H${width - RIGHT}` }),
      draw("text", { class: "end", x: left - 6, y: Number(y(tick)) + 4 }, this.axis(tick)),
    ]);
  }

  xAxis() {
    const { left, width, height, floor, x } = this.frame;
    const [from, to] = this.window();
    const most = Math.max(2, Math.floor((width - left) / 64));
    const step = CLOCK_STEPS.find((step) => step >= (to - from) / most) ?? 60;
    const parts = [draw("path", { class: "axis", d: `M${left} ${floor}H${width - RIGHT}` })];
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
      const anchor = Number(x(t)) > width - 26 ? "end" : "mid";
      const at = anchor === "end" ? width - 2 : x(t);
      parts.push(draw("path", { class: "tick", d: `M${x(t)} ${floor}v4` }));
      parts.push(draw("text", { class: anchor, x: at, y: height - 6 }, clock(t)));
    }
    return parts;
  }

  shape({ class: kind, of, bar }, rows, { share }) {
    const { floor, x, y } = this.frame;
    const path = { class: bar ? kind : `line ${kind}`, d: "" };
    let before = null;
    for (const row of rows) {
      const value = sane(of(row));
      if (bar && value > 0) {
        // One failure among thousands is still to be seen.
        const top = Math.min(y(value), floor - 3);
        const half = Math.max((x(row[0]) - x(row[0] - 0.8)) / 2, 0.75);
        path.d += `M${(x(row[0]) - half).toFixed(1)} ${floor}V${top}h${(2 * half).toFixed(1)}V${floor}Z`;
      } else if (!bar && value !== null) {
        const follows = before !== null && row[0] - before < GAP;
        // A line of one point shows as a dot: its ends are round.
        path.d += `${follows ? "L" : "M"}${x(row[0])} ${y(value)}${follows ? "" : "h0"}`;
      }
      before = value === null ? null : row[0];
    }
    return draw("path", path);
  }
}
