//! The live page in a real browser: what it shows of a state, and what an update, a lost connection and a narrow window
//! do to it. The coordinator is a stand-in here that serves the page's files, and states that a test gives it.

mod stand_in;

use std::time::Duration;

use loadgrid_tests::browser::Browser;
use loadgrid_tests::program::Demo;
use loadgrid_tests::served::Served;
use serde_json::{Value, json};
use stand_in::StandIn;

/// Longer than any reconnection takes.
const SOON: Duration = Duration::from_secs(30);
const SHOWN: &str = "document.getElementById('main').getAttribute('aria-busy') === 'false'";

fn nothing() -> Value {
    json!({"version": "0.1.0", "now": "2026-11-24T19:00:00Z", "workers": [], "running": [], "queued": [], "kept": []})
}

fn running() -> Value {
    let second = |t: u32| json!([f64::from(t), 500.0, 499.0, 0.0012, 0.0041, u32::from(t == 7) * 2]);
    json!({"run": "R1", "test": "hello", "kind": "run", "target": "hello.svc:80", "submitted": "2026-11-24T18:59:40Z",
           "started": "2026-11-24T18:59:48Z", "by": "operator", "phase": "running", "joined": 3, "wanted": 3,
           "elapsed": 12.3, "length": 30.0, "planned": 15000, "sent": 6000, "errors": 2,
           "rate": {"planned": 500.0, "achieved": 499.0}, "p50": 0.0012, "p99": 0.0041, "in_flight": 3, "waiting": 41,
           "away": ["w-3"], "probe": null, "seconds": (1..=12).map(second).collect::<Vec<_>>()})
}

fn kept(run: &str, verdict: &str) -> Value {
    json!({"run": run, "test": "hello", "kind": "run", "started": "2026-11-24T18:00:00Z", "duration": 30.0,
           "verdict": verdict, "rate": 500.0, "p50": 0.001, "p99": 0.004, "error_rate": 0.00012})
}

fn worker(name: &str, state: &str) -> Value {
    let run = if state == "busy" { json!("R1") } else { Value::Null };
    json!({"name": name, "lanes": 2, "version": "0.1.0", "state": state, "run": run, "joined": "2026-11-24T17:00:00Z"})
}

/// One of everything.
fn full() -> Value {
    let mut state = nothing();
    state["workers"] = json!([worker("w-1", "busy"), worker("w-2", "idle"), worker("w-3", "away")]);
    state["running"] = json!([running()]);
    state["queued"] = json!([{"run": "R2", "test": "nightly", "kind": "capacity", "target": "hello.svc:80",
        "submitted": "2026-11-24T18:58:00Z", "by": "LoadTest default/nightly",
        "why": "hello.svc:80 is under test by run R1"}]);
    state["kept"] = json!([kept("K2", "fail"), kept("K1", "pass")]);
    state
}

/// A browser that shows a state. None where there is no browser.
fn shows(state: Value, width: u32) -> Option<(Browser, StandIn)> {
    let mut browser = Browser::start()?;
    let coordinator = StandIn::start(state);
    browser.open(&coordinator.url(), width, 900);
    browser.wait_until(SHOWN, SOON);
    Some((browser, coordinator))
}

#[track_caller]
fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "'{word}' is missing in:\n{text}");
    }
}

#[test]
fn a_state_is_shown_whole() {
    let Some((mut browser, _coordinator)) = shows(full(), 1280) else { return };
    let run = browser.text("#runs");
    has(&run, &["hello", "RUNNING", "hello.svc:80", "by operator", "started 12s ago", "18s left"]);
    has(&run, &["6,000 of 15,000 sent", "499/s", "500/s planned", "4.1ms", "p50 1.2ms", "0.03% of all sent"]);
    has(&run, &["41 waiting", "3 of 3", "away: w-3"]);
    let charts = browser.eval("[...document.querySelectorAll('.chart')].map((c) => c.getAttribute('aria-label'))");
    has(&charts[0].to_string(), &["achieved 499/s", "planned 500/s"]);
    has(&charts[1].to_string(), &["p99 4.1ms", "p50 1.2ms"]);
    has(&charts[2].to_string(), &["errors 0, at most 2"]);
    assert!(browser.eval("document.querySelector('.chart .line.p99').getAttribute('d').length > 60") == json!(true));
    // Pointed at, a chart tells the second that is there.
    let at = "const box = chart.getBoundingClientRect(); const x = box.left + 20 + (box.width - 30) * 7 / 30";
    let event = "chart.dispatchEvent(new PointerEvent('pointermove', {clientX: x}))";
    browser.eval(&format!("{{ const chart = document.querySelectorAll('.chart')[2]; {at}; {event}; }}"));
    has(&browser.text(".charts figure:last-child .key"), &["errors 2"]);
    let picture = loadgrid_tests::scratch("live-picture").join("page.png");
    browser.screenshot(&picture);
    assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));
    has(&browser.text("#queued"), &["nightly", "capacity search", "under test by run R1", "submitted 2m ago"]);
    // Those that are away are seen first.
    let crew = browser.text("#crew");
    has(&crew, &["3 workers: 1 busy, 1 idle, 1 away", "2h ago"]);
    let names = browser.eval("[...document.querySelectorAll('#crew-rows th')].map((cell) => cell.innerText)");
    assert_eq!(names, json!(["w-3", "w-1", "w-2"]));
    has(&browser.text("#kept-rows"), &["✗ FAIL", "✓ PASS", "500/s", "4ms", "0.01%", "30s", "1h ago"]);
    assert_eq!(browser.eval("document.querySelector('#kept-rows a').getAttribute('href')"), json!("runs/K2"));
    let times = browser.eval("[...document.querySelectorAll('#kept-rows time')].map((time) => time.title)");
    assert_eq!(times[0], json!("2026-11-24 18:00:00 UTC"));
    assert_eq!(browser.eval("document.title"), json!("▶ hello 41% · loadgrid"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn where_there_is_nothing_the_next_command_stands() {
    let Some((mut browser, coordinator)) = shows(nothing(), 1280) else { return };
    has(&browser.text("#no-runs"), &["loadgrid run TEST.yaml --grid https://"]);
    has(&browser.text("#no-workers"), &["loadgrid-worker --coordinator https://"]);
    has(&browser.text("main"), &["Nothing waits.", "No report is kept yet."]);
    assert_eq!(browser.eval("document.title"), json!("idle · loadgrid"));
    // A run that has only begun has no figure yet, and none is made up.
    let mut state = nothing();
    state["running"] = json!([{"run": "R1", "test": "hello", "kind": "run", "phase": "gathering", "joined": 1,
        "wanted": 2, "elapsed": null, "length": 30.0, "planned": null, "rate": {"planned": null, "achieved": null},
        "p99": null, "errors": null, "away": [], "probe": null, "seconds": []}]);
    coordinator.send(state);
    browser.wait_until("document.querySelector('#runs h3')", SOON);
    let run = browser.text("#runs");
    has(&run, &["GATHERING", "1 of 2 workers joined", "–"]);
    assert!(!run.contains("NaN") && !run.contains("undefined") && !run.contains("null"), "{run}");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Names come from anybody, and so may a coordinator of another version's states.
#[test]
fn names_stay_text_and_odd_states_do_no_harm() {
    let evil = "<img src=x onerror=\"document.title='taken'\">";
    let mut state = full();
    for (list, key) in
        [("running", "test"), ("queued", "test"), ("queued", "why"), ("workers", "name"), ("kept", "test")]
    {
        state[list][0][key] = json!(evil);
    }
    state["kept"][0]["run"] = json!("../../x?y#z");
    state["kept"][1]["verdict"] = json!("of a later version");
    let Some((mut browser, coordinator)) = shows(state, 1280) else { return };
    assert_eq!(browser.eval("document.querySelectorAll('img').length"), json!(0));
    assert!(browser.text("#runs").contains(evil));
    let link = browser.eval("document.querySelector('#kept-rows a').getAttribute('href')");
    assert_eq!(link, json!("runs/..%2F..%2Fx%3Fy%23z"));
    has(&browser.text("#kept-rows"), &["OF A LATER VERSION"]);

    coordinator.send(json!({"running": [{"run": "R9"}], "workers": [{}], "queued": [{}], "kept": [{}]}));
    browser.wait_until("document.getElementById('run-R9')", SOON);
    let page = browser.text("main");
    assert!(!page.contains("NaN") && !page.contains("undefined") && !page.contains("null"), "{page}");
    assert_eq!(browser.complaints(), [""; 0]);
    coordinator.send(json!(["no state"]));
    browser.wait_until("document.getElementById('lost-word').innerText.includes('reload')", SOON);
}

/// Nodes stay: and with them a focus, a selection, and what is scrolled to.
#[test]
fn an_update_changes_figures_and_nothing_else() {
    let many = |first: &[Value]| -> Vec<Value> {
        first.iter().cloned().chain((1..=40).rev().map(|n| kept(&format!("K{n}"), "pass"))).collect()
    };
    let mut state = full();
    state["kept"] = json!(many(&[]));
    let Some((mut browser, coordinator)) = shows(state.clone(), 1280) else { return };
    browser.eval("for (const node of document.querySelectorAll('article, tr, li, figure svg')) node.marked = true");
    // Somebody has scrolled down, and has their finger on a report.
    browser.eval("document.querySelector('#kept-rows tr:nth-child(30) a').focus()");
    browser.eval("scrollTo(0, document.activeElement.getBoundingClientRect().top + scrollY - 300)");
    let place = "Math.round(document.activeElement.getBoundingClientRect().top)";
    let before = browser.eval(place);

    state["now"] = json!("2026-11-24T19:00:05Z");
    state["running"][0]["rate"]["achieved"] = json!(432.0);
    state["running"][0]["elapsed"] = json!(17.0);
    state["kept"] = json!(many(&[kept("K41", "inconclusive")]));
    state["workers"] = json!([worker("w-0", "idle"), worker("w-1", "busy"), worker("w-3", "away")]);
    coordinator.send(state.clone());
    browser.wait_until("document.querySelectorAll('#kept-rows tr').length === 41", SOON);
    has(&browser.text("#runs"), &["432/s", "13s left", "started 17s ago"]);
    has(&browser.text("#kept-rows tr"), &["? INCONCLUSIVE"]);
    assert_eq!(browser.eval("document.activeElement.getAttribute('href')"), json!("runs/K11"));
    browser.wait_until(&format!("Math.abs({place} - {before}) <= 2"), SOON);
    let fresh = "[...document.querySelectorAll('article, tbody tr, li, figure svg')].filter((node) => !node.marked)";
    let fresh = browser.eval(&format!("{fresh}.map((node) => node.innerText.trim().split(/\\s/)[0])"));
    assert_eq!(fresh, json!(["w-0", "?"]));

    // The end of a run, for who listens, and for who looks at another tab.
    state["running"] = json!([]);
    state["kept"] = json!(many(&[kept("R1", "pass")]));
    coordinator.send(state);
    browser.wait_until("document.title === '1 waiting · loadgrid'", SOON);
    assert_eq!(browser.eval("document.getElementById('announced').textContent"), json!("hello ended: PASS"));
    let role = browser.eval("document.getElementById('announced').getAttribute('aria-live')");
    assert_eq!(role, json!("polite"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_lost_connection_is_said_and_made_up_for() {
    let Some((mut browser, coordinator)) = shows(full(), 1280) else { return };
    assert_eq!(browser.eval("document.getElementById('lost').hidden"), json!(true));
    coordinator.cut();
    browser.wait_until("!document.getElementById('lost').hidden", SOON);
    has(&browser.text("#lost"), &["No connection to the coordinator.", "Last news", "19:00:00 UTC", "Trying again"]);
    has(&browser.text("#announced"), &["lost"]);
    assert_eq!(browser.eval("document.title"), json!("⚠ no connection · loadgrid"));
    // What was last known stays.
    has(&browser.text("#runs"), &["499/s"]);

    let mut state = nothing();
    state["now"] = json!("2026-11-24T19:05:00Z");
    state["kept"] = json!([kept("R1", "fail")]);
    coordinator.mend(state);
    browser.wait_until("document.getElementById('lost').hidden", SOON);
    browser.wait_until("document.title === 'idle · loadgrid'", SOON);
    has(&browser.text("#kept-rows"), &["FAIL"]);
    has(&browser.eval("document.getElementById('announced').textContent").to_string(), &["back", "hello ended: FAIL"]);
}

/// Contrast of all text that is seen: WCAG's formula, against the nearest ground that is not transparent.
const PALE: &str = r"
(() => {
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const pale = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim() !== '');
    if (!own || node.checkVisibility() === false || node.closest('.unseen, noscript')) continue;
    const style = getComputedStyle(node);
    const [one, other] = [parts(node.closest('svg') ? style.fill : style.color), ground(node)].map(light).sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) pale.push(`${node.tagName} ${node.className.baseVal ?? node.className}: ${contrast.toFixed(2)}`);
  }
  return pale;
})()";

#[test]
fn it_fits_a_phone_and_can_be_read_in_both_schemes() {
    let mut wide = full();
    let long = "a-name-without-any-break-that-is-longer-than-a-phone-is-wide-".repeat(3);
    for (list, key) in
        [("running", "test"), ("running", "target"), ("queued", "why"), ("workers", "name"), ("kept", "test")]
    {
        wide[list][0][key] = json!(long);
    }
    wide["kept"] = ["pass", "fail", "inconclusive", "invalid", "found", "at-least", "fails", "refused", "broken-off"]
        .iter()
        .map(|verdict| kept(verdict, verdict))
        .collect();
    let Some((mut browser, coordinator)) = shows(wide, 360) else { return };
    for (scheme, width) in [("light", 360), ("dark", 360), ("light", 1280), ("dark", 1280)] {
        browser.prefer("prefers-color-scheme", scheme);
        browser.resize(width, 800);
        browser.open(&coordinator.url(), width, 800);
        browser.wait_until(SHOWN, SOON);
        let across = browser.eval("document.documentElement.scrollWidth");
        assert_eq!(across, json!(width), "it scrolls sideways in {scheme} at {width}");
        assert_eq!(browser.eval(PALE), json!([]), "too pale in {scheme} at {width}");
    }
    browser.prefer("prefers-reduced-motion", "reduce");
    let moves = "[...document.querySelectorAll('body *')].filter((n) => getComputedStyle(n).animationName !== 'none')";
    assert_eq!(browser.eval(&format!("{moves}.length + document.getAnimations().length")), json!(0));
}

#[test]
fn a_keyboard_reaches_everything_and_landmarks_have_names() {
    let Some((mut browser, _coordinator)) = shows(full(), 1280) else { return };
    let mut reached = Vec::new();
    for _ in 0..8 {
        browser.press("Tab");
        let now = browser.eval("document.activeElement.id || document.activeElement.getAttribute('href') || document.activeElement.tagName");
        reached.push(now.as_str().unwrap_or("nothing").to_owned());
    }
    assert_eq!(reached[..4], ["#running", "#queue", "#workers", "#reports"]);
    assert_eq!(reached[4..7], ["crew-word", "runs/K2", "runs/K1"]);
    let unnamed = "[...document.querySelectorAll('section, article, nav, table, progress, svg[role=img]')]
        .filter((n) => !n.getAttribute('aria-label') && !document.getElementById(n.getAttribute('aria-labelledby')))";
    assert_eq!(browser.eval(&format!("{unnamed}.length")), json!(0));
    let levels = browser.eval("[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => Number(h.tagName[1]))");
    let levels: Vec<u64> = levels.as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "a heading's level is left out: {levels:?}");
    for landmark in ["header", "nav", "main", "footer"] {
        assert_eq!(browser.eval(&format!("document.querySelectorAll('{landmark}').length")), json!(1), "{landmark}");
    }
}

#[test]
fn a_real_run_is_followed_to_its_report() {
    let Some(mut browser) = Browser::start() else { return };
    let demo = Demo::start(&[]);
    let grid = Served::start("live-real", &[], 2);
    browser.open(&format!("http://{}/", grid.http), 360, 800);
    browser.wait_until("document.getElementById('count-workers').innerText === '2'", SOON);
    let run = grid.begin(&["run", "--url", &demo.url(), "--rate", "100/s", "--duration", "6s", "--name", "seen", "-q"]);
    browser.wait_until("document.getElementById('runs').innerText.includes('100/s')", SOON);
    has(&browser.text("#runs"), &["seen", "RUNNING", "2 of 2"]);
    run.wait().expect_code(0);
    browser.wait_until("document.getElementById('kept-rows').innerText.includes('seen')", SOON);
    has(&browser.text("#kept-rows"), &["✓ PASS", "100/s"]);
    assert_eq!(browser.eval("document.documentElement.scrollWidth <= innerWidth"), json!(true), "no sideways scroll");
    // The policy of the page and that of the report let their own things through.
    let report = browser.eval("document.querySelector('#kept-rows a').href");
    browser.open(report.as_str().unwrap(), 1280, 800);
    browser.wait_until("document.body.innerText.toLowerCase().includes('coverage')", SOON);
    assert_eq!(browser.complaints(), [""; 0]);
}
