// The live page: follows the grid's state and shows it. It knows the shape of api/state, and decides nothing: every
// figure and every reason is the coordinator's.
//
// What is on the page is changed in place, by key, so that scrolling, focus and a selection survive an update. Names
// come from anybody: they go through textContent alone.

import { badge, list, make, mark, say, sayTime, setClock, tick } from "./dom.js";
import { follow } from "./feed.js";
import { NONE, count, percent, rate, sane, span, time, words } from "./figures.js";
import { RunCard, shareOf, stateOf } from "./run.js";

const TITLE = "loadgrid";
/** Workers up to which their table is open at first. */
const FEW = 12;

/** Words, symbols and classes of the reports' badges. */
const VERDICTS = {
  pass: ["PASS", "✓", "good"],
  fail: ["FAIL", "✗", "bad"],
  inconclusive: ["INCONCLUSIVE", "?", "open"],
  invalid: ["INVALID", "⊘", "invalid"],
  found: ["FOUND", "✓", "good"],
  "at-least": ["AT LEAST", "≥", "open"],
  fails: ["FAILS", "✗", "bad"],
  refused: ["NO ANSWER", "?", "open"],
  "broken-off": ["BROKEN OFF", "!", "bad"],
};
const WORKERS = { away: ["away", "!", "bad"], busy: ["busy", "▶", "now"], idle: ["idle", "○", "void"] };

const byId = (id) => document.getElementById(id);
const plural = (n, one) => `${count(n)} ${one}${n === 1 ? "" : "s"}`;
const array = (value) => (Array.isArray(value) ? value : []);
const verdictOf = (word) => VERDICTS[word] ?? [String(word ?? "no verdict").toUpperCase(), "·", "void"];
const search = (kind) => (kind === "capacity" ? "capacity search" : "");

/** The last state, and what it needs of those before. */
let shown = null;
let lost = null;
/** Runs that were seen running and whose report is not there yet: id to name. */
const followed = new Map();

function announce(told) {
  if (told.length > 0) byId("announced").textContent = told.join(". ");
}

/** Changes that someone who does not look would want to hear of. */
function changes(state) {
  const told = [];
  const before = new Map(array(shown?.running).map((run) => [run.run, run]));
  for (const run of array(state.running)) {
    const old = before.get(run.run);
    followed.set(run.run, run.test);
    // The phases of a search go round with each probe.
    const turn = run.kind === "capacity" ? `${run.probe?.number}` : run.phase;
    const oldTurn = old && (old.kind === "capacity" ? `${old.probe?.number}` : old.phase);
    if (turn === oldTurn) continue;
    told.push(run.probe ? `${run.test}: probe ${run.probe.number} at ${rate(run.probe.rate)} per second` : `${run.test}: ${stateOf(run)}`);
  }
  for (const kept of array(state.kept)) {
    if (!followed.delete(kept.run)) continue;
    told.push(`${kept.test} ended: ${verdictOf(kept.verdict)[0]}`);
  }
  return shown === null ? [] : told;
}

function sections(state) {
  const [running, queued, workers, kept] = [state.running, state.queued, state.workers, state.kept].map(array);
  const away = workers.filter((worker) => worker.state === "away").length;
  const busy = workers.filter((worker) => worker.state === "busy").length;
  const lanes = workers.reduce((sum, worker) => sum + (sane(worker.lanes) ?? 0), 0);
  const notes = {
    running: [running.length, running.length > 0 ? running.map((run) => words(run.test)).join(", ") : "idle"],
    queued: [queued.length, queued.length > 0 ? `next: ${words(queued[0].test)}` : "nothing waits"],
    workers: [workers.length, away > 0 ? `! ${count(away)} away` : workers.length === 0 ? "none has joined" : `${count(busy)} busy, ${plural(lanes, "lane")}`],
    kept: [kept.length, kept.length > 0 ? `newest: ${verdictOf(kept[0].verdict)[0].toLowerCase()}` : "none yet"],
  };
  for (const [name, [figure, note]] of Object.entries(notes)) {
    say(byId(`count-${name}`), name === "kept" && figure >= 50 ? "newest 50" : count(figure));
    say(byId(`note-${name}`), note);
  }
  mark(byId("note-workers"), "hurt", away > 0);
  say(byId("crew-word"), `${plural(workers.length, "worker")}: ${count(busy)} busy, ${count(workers.length - busy - away)} idle, ${count(away)} away`);
}

function runs(state) {
  const running = array(state.running);
  const section = byId("runs");
  const focused = section.contains(document.activeElement);
  const gone = list(section, running, {
    key: (run) => run.run,
    create: (run) => new RunCard(run).node,
    update: (node, run) => node.card.update(run),
  });
  for (const node of gone) node.card.end();
  if (focused && !section.contains(document.activeElement)) byId("running").focus({ preventScroll: true });
  empty("no-runs", running.length === 0, array(state.queued).length > 0 ? ["Nothing runs yet; what waits says why below."] : ["Nothing runs. Start a test with ", `loadgrid run TEST.yaml --grid ${grid(state)}`]);
}

/** Where operators and workers reach the coordinator, as far as the page knows. */
const grid = (state) => (typeof state.grid === "string" && state.grid !== "" ? state.grid : "https://HOST:7400");

/** Says that there is nothing, and the command that makes something. */
function empty(id, on, [why, command]) {
  const node = byId(id);
  node.hidden = !on;
  if (!on || node.textContent === why + (command ?? "")) return;
  node.replaceChildren(why);
  if (command) node.append(make("code", { class: "do" }, command));
}

function queue(state) {
  const queued = array(state.queued);
  list(byId("queued"), queued, {
    key: (entry) => entry.run,
    create: () => {
      const parts = { name: make("span", { class: "name" }), kind: make("span", { class: "kind" }), why: make("p", { class: "why" }), more: make("small"), since: make("time"), small: make("small") };
      parts.small.append(parts.more, "submitted ", parts.since);
      const node = make("li", {}, parts.name, " ", parts.kind, parts.why, parts.small);
      return Object.assign(node, { parts });
    },
    update: ({ parts }, entry) => {
      say(parts.name, words(entry.test));
      say(parts.kind, search(entry.kind));
      say(parts.why, entry.why ? `Waits: ${entry.why}` : "Waits for its turn");
      say(parts.more, [entry.target, entry.by && `by ${entry.by}`].filter(Boolean).map((part) => `${part} · `).join(""));
      sayTime(parts.since, entry.submitted);
    },
  });
  byId("no-queued").hidden = queued.length > 0;
}

/** A table's row of cells: `names` says which, and what a cell is called where the head is not shown. */
function row(names) {
  const cells = names.map(([tag, attributes, label]) => make(tag, label ? { ...attributes, "data-is": label } : attributes));
  return make("tr", {}, ...cells);
}

function crew(state) {
  const order = (worker) => Object.keys(WORKERS).indexOf(worker.state);
  const workers = array(state.workers).toSorted((a, b) => order(a) - order(b) || String(a.name).localeCompare(String(b.name), "en", { numeric: true }));
  const names = new Map(array(state.running).map((run) => [run.run, run.test]));
  const left = { class: "left" };
  list(byId("crew-rows"), workers, {
    key: (worker) => worker.name,
    create: () => {
      const node = row([["th", { class: "left prose", scope: "row" }], ["td", left], ["td", {}, "Lanes"], ["td", { class: "left prose" }], ["td", {}, "Version"], ["td", {}, "Joined"]]);
      Object.assign(node, { badge: make("span"), joined: make("time") });
      node.cells[1].append(node.badge);
      node.cells[5].append(node.joined);
      return node;
    },
    update: (node, worker) => {
      const [name, , lanes, run, version] = node.cells;
      say(name, words(worker.name));
      badge(node.badge, WORKERS[worker.state] ?? [words(worker.state), "·", "void"]);
      say(lanes, count(worker.lanes));
      say(run, worker.run ? (names.get(worker.run) ?? String(worker.run)) : NONE);
      if (run.title !== (worker.run ?? "")) run.title = worker.run ?? "";
      mark(run, "none", !worker.run);
      say(version, words(worker.version));
      sayTime(node.joined, worker.joined);
    },
  });
  if (shown === null) byId("crew").open = workers.length <= FEW;
  byId("crew").hidden = workers.length === 0;
  empty("no-workers", workers.length === 0, ["No worker has joined. Start one with ", `loadgrid-worker --coordinator ${grid(state)} --tls-dir DIR`]);
}

function reports(state) {
  const kept = array(state.kept);
  list(byId("kept-rows"), kept, {
    key: (entry) => entry.run,
    create: (entry) => {
      const node = row([["td", { class: "left" }], ["th", { class: "left prose", scope: "row" }], ["td", {}, "Rate"], ["td", {}, "p50"], ["td", {}, "p99"], ["td", {}, "Errors"], ["td", {}, "Took"], ["td", {}, "Started"]]);
      Object.assign(node, { badge: make("span"), started: make("time"), link: make("a", { href: `runs/${encodeURIComponent(entry.run)}` }), kind: make("span", { class: "kind" }) });
      node.cells[0].append(node.badge);
      node.cells[1].append(node.link, " ", node.kind);
      node.cells[7].append(node.started);
      return node;
    },
    update: (node, entry) => {
      badge(node.badge, verdictOf(entry.verdict));
      say(node.link, words(entry.test ?? entry.run));
      say(node.kind, search(entry.kind));
      const figures = [sane(entry.rate) === null ? NONE : `${rate(entry.rate)}/s`, time(entry.p50), time(entry.p99), percent(entry.error_rate), span(entry.duration)];
      figures.forEach((text, place) => {
        say(node.cells[place + 2], text);
        mark(node.cells[place + 2], "none", text === NONE);
      });
      sayTime(node.started, entry.started);
    },
  });
  byId("kept").hidden = kept.length === 0;
  byId("no-kept").hidden = kept.length > 0;
}

/** The running state, for whoever has the page in a tab behind others. */
function title(state) {
  if (lost !== null) return `⚠ no connection · ${TITLE}`;
  const [running, queued] = [array(state?.running), array(state?.queued)];
  if (state === null) return TITLE;
  if (running.length > 1) return `▶ ${running.length} tests · ${TITLE}`;
  if (running.length === 0) return queued.length > 0 ? `${queued.length} waiting · ${TITLE}` : `idle · ${TITLE}`;
  const [run] = running;
  const share = shareOf(run);
  const how = run.phase !== "running" ? run.phase : share === null ? span(Math.floor(run.elapsed ?? 0)) : `${Math.floor(share * 100)}%`;
  return `▶ ${run.test} ${how} · ${TITLE}`;
}

function connection(state) {
  document.body.className = lost === null ? "live" : "away";
  say(byId("link-word"), lost === null ? "live" : "no connection");
  byId("lost").hidden = lost === null;
  document.title = title(state);
}

function news(state) {
  if (state === null || typeof state !== "object" || Array.isArray(state)) throw new TypeError("no state of a grid");
  const told = changes(state);
  if (lost !== null) told.unshift("The connection is back");
  lost = null;
  setClock(Date.parse(state.now));
  sections(state);
  runs(state);
  queue(state);
  crew(state);
  reports(state);
  const other = Boolean(shown?.version && state.version && shown.version !== state.version);
  say(byId("version"), `${state.version ?? ""}${other ? " · the coordinator was replaced: reload the page" : ""}`);
  shown = other ? { ...state, version: shown.version } : state;
  byId("main").setAttribute("aria-busy", "false");
  connection(state);
  announce(told);
}

function gone(why) {
  if (lost === null) {
    announce(["The connection to the coordinator is lost"]);
    const last = make("time");
    byId("lost-more").replaceChildren();
    if (shown === null) byId("lost-more").append("Trying again.");
    else byId("lost-more").append("Last news ", last, ", at ", make("span", {}, clockOf(shown.now)), ". What is shown is from then. Trying again.");
    if (shown !== null) sayTime(last, shown.now);
  }
  lost = why;
  say(byId("lost-word"), why);
  connection(shown);
}

const clockOf = (instant) => `${/T(\d\d:\d\d:\d\d)/.exec(instant ?? "")?.[1] ?? NONE} UTC`;

setInterval(tick, 1000);
follow({ news, lost: gone });
