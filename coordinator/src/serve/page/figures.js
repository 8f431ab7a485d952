// Figures for people, as the reports write them (report/figures.rs). It knows nothing of the page.

/** What stands where there is no figure. */
export const NONE = "–";

/** Above this no figure goes, whatever its unit. */
const LARGEST = 1e20;

/** Others' text, or a dash where there is none. */
export function words(value) {
  return value === null || value === undefined || value === "" ? NONE : String(value);
}

/** A number that can be a figure, or null. */
export function sane(value) {
  return typeof value === "number" && Number.isFinite(value) && Math.abs(value) <= LARGEST ? value : null;
}

const written = (show) => (value) => (sane(value) === null ? NONE : show(value));

const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ",");

/** Seconds: 250ms, 1.5s, 12.3µs. */
export const time = written((seconds) => {
  if (seconds === 0) return "0";
  const ns = Math.abs(seconds) * 1e9;
  const [size, unit] = ns < 1e3 ? [1, "ns"] : ns < 1e6 ? [1e3, "µs"] : ns < 1e9 ? [1e6, "ms"] : [1e9, "s"];
  const value = (seconds * 1e9) / size;
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return trimmed(value.toFixed(digits)) + unit;
});

/** A time on the clock: 30s, 1m30s, 2h. */
export const clock = written((seconds) => {
  if (Math.abs(seconds) < 60) return seconds === 0 ? "0s" : time(seconds);
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 3600), "h"],
    [Math.floor((whole % 3600) / 60), "m"],
    [whole % 60, "s"],
  ];
  return parts.map(([n, unit]) => (n > 0 ? n + unit : "")).join("");
});

/** How long something takes or took. */
export const span = written((seconds) => (seconds < 120 ? time(seconds) : clock(seconds)));

/** Something per second, with the digits that matter; the unit is the caller's. */
export const rate = written((value) => {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const [whole, part] = trimmed(value.toFixed(digits)).split(".");
  return part === undefined ? grouped(whole) : `${grouped(whole)}.${part}`;
});

export const count = written((value) => (Number.isInteger(value) ? grouped(String(value)) : rate(value)));

/** A share of 1. Neither all nor nothing is said where that is only rounding. */
export const percent = written((share) => {
  for (let digits = 2; digits <= 6; digits += 1) {
    const text = trimmed((share * 100).toFixed(digits));
    const rounded = (text === "100" && share !== 1) || ((text === "0" || text === "-0") && share !== 0);
    if (!rounded) return `${text}%`;
  }
  return share > 0.5 ? "almost 100%" : "under 0.0001%";
});

/** `2026-03-01T12:30:00.123Z` as `2026-03-01 12:30:00 UTC`; what is not of that shape stays as it is. */
export function moment(text) {
  const found = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d).*Z$/.exec(text ?? "");
  return found ? `${found[1]} ${found[2]} UTC` : String(text ?? NONE);
}

/** An age in seconds, as one would say it. */
export const ago = written((seconds) => {
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)}s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h ago`;
  return `${Math.floor(seconds / 86400)}d ago`;
});
