// A running test: what it does, how far it is, its figures and its last seconds. It knows one entry of `running`.

import { Chart } from "./charts.js";
import { badge, make, mark, say, sayTime } from "./dom.js";
import { NONE, count, percent, rate, sane, span, time, words } from "./figures.js";

const PHASES = {
  ready: ["WAITING FOR TARGET", "◷", "open"],
  gathering: ["GATHERING", "◌", "open"],
  preparing: ["PREPARING", "◌", "plain"],
  running: ["RUNNING", "▶", "now"],
  ending: ["ENDING", "■", "plain"],
};

const perSecond = (value) => (sane(value) === null ? NONE : `${rate(value)}/s`);

/** Where a run stands, in words: as the CLI's progress tells it. */
export function stateOf(run) {
  const [elapsed, length] = [sane(run.elapsed), sane(run.length)];
  switch (run.phase) {
    case "ready":
      return "waits until its target is ready";
    case "gathering":
      return `${count(run.joined)} of ${count(run.wanted)} workers joined`;
    case "preparing":
      return "workers get ready";
    case "ending":
      return "ending: the last figures come in";
    default:
      if (elapsed === null) return "workers get ready";
      if (length === null) return `${span(Math.floor(elapsed))} so far`;
      return elapsed >= length ? "waiting for the last answers" : `${span(Math.ceil(length - elapsed))} left`;
  }
}

/** How much of a run is done, from 0 to 1; null where only the target knows. */
export function shareOf(run) {
  const [elapsed, length] = [sane(run.elapsed), sane(run.length)];
  if (length === null || length <= 0) return null;
  return Math.min((elapsed ?? 0) / length, 1);
}

/** A figure with a word above it and one below. */
function tile(name, kind = "") {
  const [figure, more] = [make("b"), make("span")];
  return { node: make("div", { class: `tile ${kind}` }, make("span", {}, name), figure, more), figure, more };
}

/** What a run shows, and how that changes. */
export class RunCard {
  constructor(run) {
    this.name = make("h3", { id: `run-${run.run}` });
    [this.phase, this.kind, this.state, this.sent] = [make("span"), make("span", { class: "badge plain" }), make("span"), make("span")];
    [this.target, this.by, this.since, this.started] = [make("span"), make("span"), make("span"), make("time")];
    this.id = make("code");
    this.bar = make("progress", { max: "1", "aria-labelledby": this.name.id });
    this.tiles = {
      rate: tile("Achieved rate"),
      latency: tile("Latency p99", "latency"),
      errors: tile("Errors"),
      flight: tile("In flight"),
      workers: tile("Workers"),
    };
    this.charts = charts();
    this.drawn = make("div", { class: "charts" }, ...this.charts.map(({ node }) => node));
    const tiles = Object.values(this.tiles).map(({ node }) => node);
    this.node = make(
      "article",
      { class: "run", "aria-labelledby": this.name.id },
      make("div", { class: "marks" }, this.name, this.phase, this.kind),
      make("p", { class: "lead" }, this.target, " · ", this.by, " · ", this.since, " ", this.started, " · ", this.id),
      make("p", { class: "sum" }, this.state, this.sent),
      this.bar,
      make("div", { class: "tiles" }, ...tiles),
      this.drawn,
    );
    this.node.card = this;
  }

  update(run) {
    say(this.name, words(run.test));
    badge(this.phase, PHASES[run.phase] ?? [words(run.phase).toUpperCase(), "·", "plain"]);
    this.kind.hidden = run.kind !== "capacity";
    say(this.kind, run.probe ? `CAPACITY · PROBE ${count(run.probe.number)} AT ${perSecond(run.probe.rate)}` : "CAPACITY");
    say(this.target, run.target ?? "no target yet");
    say(this.by, `by ${words(run.by)}`);
    say(this.since, run.started ? "started" : "submitted");
    sayTime(this.started, run.started ?? run.submitted);
    say(this.id, words(run.run));
    this.progress(run);
    this.figures(run);
    const rows = Array.isArray(run.seconds) ? run.seconds : [];
    this.drawn.hidden = rows.length === 0;
    for (const chart of this.charts) chart.update(rows, run.length);
  }

  progress(run) {
    const share = shareOf(run);
    const state = stateOf(run);
    say(this.state, state.charAt(0).toUpperCase() + state.slice(1));
    const of = sane(run.planned) === null ? "" : ` of ${count(run.planned)}`;
    say(this.sent, sane(run.sent) === null ? "" : `${count(run.sent)}${of} sent`);
    if (share !== null) this.bar.value = share;
    else this.bar.removeAttribute("value");
  }

  figures(run) {
    const { rate, latency, errors, flight, workers } = this.tiles;
    say(rate.figure, perSecond(run.rate?.achieved));
    const loop = sane(run.rate?.achieved) === null ? "nothing sent yet" : "closed loop: no plan";
    say(rate.more, sane(run.rate?.planned) === null ? loop : `${perSecond(run.rate.planned)} planned`);
    say(latency.figure, time(run.p99));
    say(latency.more, `p50 ${time(run.p50)}`);
    say(errors.figure, count(run.errors));
    say(errors.more, run.sent > 0 && sane(run.errors) !== null ? `${percent(run.errors / run.sent)} of all sent` : "nothing sent yet");
    mark(errors.node, "hurt", run.errors > 0);
    say(flight.figure, count(run.in_flight));
    say(flight.more, sane(run.waiting) === null ? "nothing sent yet" : `${count(run.waiting)} waiting to be sent`);
    const away = Array.isArray(run.away) ? run.away : [];
    say(workers.figure, sane(run.joined) === null ? NONE : `${count(run.joined)} of ${count(run.wanted)}`);
    say(workers.more, away.length > 0 ? `! away: ${away.join(", ")}` : "none away");
    mark(workers.more, "hurt", away.length > 0);
  }

  end() {
    for (const chart of this.charts) chart.end();
  }
}

/** Columns of a row of `seconds`: t, planned, achieved, p50, p99, errors. */
function charts() {
  const rates = {
    title: "Rate",
    show: (value) => `${rate(value)}/s`,
    axis: rate,
    series: [
      { name: "achieved", class: "achieved", of: (row) => row[2] },
      { name: "planned", class: "planned", of: (row) => row[1], optional: true },
    ],
  };
  const latency = {
    title: "Latency",
    show: time,
    axis: time,
    scaling: { log: true, rest: 1e-3 },
    series: [
      { name: "p99", class: "p99", of: (row) => row[4] },
      { name: "p50", class: "p50", of: (row) => row[3] },
    ],
  };
  const errors = {
    title: "Errors a second",
    show: count,
    axis: count,
    scaling: { least: 1 },
    none: "none in these seconds",
    series: [{ name: "errors", class: "bar-errors", of: (row) => row[5], bar: true }],
  };
  return [rates, latency, errors].map((chart) => new Chart(chart));
}
