// The way to the coordinator: its events, and its whole state whenever events may have been missed. It does not know
// what a state says.

/** Waits between tries where the browser has given up on the events, ms. */
const WAITS = [1000, 2000, 4000, 8000, 15000];
/** A grid that says nothing for so long is asked, ms: a connection can die without a word. */
const QUIET = 25000;
const PATIENCE = 5000;
const NO_WAY = "No connection to the coordinator.";

/** Follows the grid for as long as the page is open. `on` is told: `news(state)`, `lost(why)`. Every state is whole, so
 * the first one after a gap makes up for the gap. */
export function follow(on) {
  let source = null;
  let tries = 0;
  let heard = Date.now();
  let timer = null;

  const take = (text) => {
    [heard, tries] = [Date.now(), 0];
    try {
      on.news(JSON.parse(text));
    } catch (error) {
      console.error(error);
      on.lost("This page can't show what the coordinator sends: reload it.");
    }
  };

  const ask = async () => {
    const asked = Date.now();
    try {
      const answer = await fetch("api/state", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(`it answers with status ${answer.status}`);
      const text = await answer.text();
      // What came meanwhile as an event is newer.
      if (heard <= asked) take(text);
    } catch (error) {
      if (heard <= asked) broken(error.name === "TimeoutError" ? "The coordinator does not answer." : NO_WAY);
    }
  };

  const broken = (why) => {
    on.lost(why);
    // A browser that still tries is left to it.
    if (source?.readyState === EventSource.CONNECTING || timer !== null) return;
    source?.close();
    const wait = WAITS[Math.min(tries, WAITS.length - 1)];
    tries += 1;
    timer = setTimeout(connect, wait);
  };

  const connect = () => {
    timer = null;
    source = new EventSource("api/events");
    source.onopen = ask;
    source.onmessage = (event) => take(event.data);
    source.onerror = () => broken(NO_WAY);
  };

  const check = () => {
    if (source?.readyState === EventSource.OPEN && !document.hidden && Date.now() - heard > QUIET) {
      // Not again before this one has had its time.
      heard = Date.now() - QUIET + PATIENCE;
      ask();
    }
  };

  document.addEventListener("visibilitychange", () => document.hidden || (source?.readyState === EventSource.OPEN && ask()));
  setInterval(check, 1000);
  connect();
}
