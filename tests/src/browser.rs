//! A headless Chromium, driven over its DevTools protocol: what somebody would see of a page, and would do with it. It
//! knows no page.
//!
//! The protocol goes through two pipes (`--remote-debugging-pipe`), JSON texts with a zero byte after each: no port that
//! another process could take. Where Chromium isn't installed, [`Browser::start`] says so as the other peers do.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::peers::{folder, program};

/// No answer of the browser takes longer, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);
/// From there on a page is shown as on a phone.
const PHONE: u32 = 500;

/// A browser with one page. It ends when it is dropped.
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: mpsc::Receiver<Value>,
    /// What was said while an answer was waited for.
    events: VecDeque<Value>,
    complaints: Vec<String>,
    session: Option<String>,
    last_id: u64,
    dir: PathBuf,
}

impl Browser {
    /// Starts it with an empty page. None where Chromium is not installed and tests may be left out.
    pub fn start() -> Option<Self> {
        let chromium = program("chromium", "apt-get install chromium")?;
        let dir = folder("chromium");
        let stderr = File::create(dir.join("stderr")).expect("a file for its stderr");
        // It reads commands from descriptor 3 and writes answers to 4, which only a shell can give it.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"]).arg(chromium);
        command.args(["--headless", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]);
        // Its sandbox needs rights that a container may not have; it is shown pages of tests alone.
        command.args(["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]);
        command.arg(format!("--user-data-dir={}", dir.join("profile").display())).arg("about:blank");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let commands = child.stdin.take().expect("piped");
        let messages = listen(child.stdout.take().expect("piped"));
        let (events, complaints) = (VecDeque::new(), Vec::new());
        let mut browser = Browser { child, commands, messages, events, complaints, session: None, last_id: 0, dir };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].take();
        let session = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Shows the page at a URL in a window of this size, and waits until it is loaded.
    pub fn open(&mut self, url: &str, width: u32, height: u32) {
        self.resize(width, height);
        self.events.clear();
        let answer = self.call("Page.navigate", json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        self.await_event("Page.loadEventFired");
    }

    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < PHONE});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// What a media query of this name finds: `("prefers-color-scheme", "dark")`.
    pub fn prefer(&mut self, feature: &str, value: &str) {
        self.call("Emulation.setEmulatedMedia", json!({"features": [{"name": feature, "value": value}]}));
    }

    /// The value of an expression, or of what its promise becomes.
    pub fn eval(&mut self, js: &str) -> Value {
        let wanted = json!({"expression": js, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", wanted);
        assert!(answer["exceptionDetails"].is_null(), "{js}\n{:#}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// The text of the first element that fits, as it is shown. Panics where there is none.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector({})?.innerText ?? null", json!(selector)));
        text.as_str().unwrap_or_else(|| panic!("there is no {selector}")).to_owned()
    }

    /// Waits until an expression is true, and panics with what the page shows if it never is.
    pub fn wait_until(&mut self, js: &str, patience: Duration) {
        let most = patience.as_millis();
        let look = format!(
            "new Promise((done) => {{
               const until = performance.now() + {most};
               const look = () => {{
                 let found = false;
                 try {{ found = Boolean({js}); }} catch {{ /* not there yet */ }}
                 if (found || performance.now() > until) done(found);
                 else setTimeout(look, 20);
               }};
               look();
             }})"
        );
        if self.eval(&look) != json!(true) {
            panic!("never: {js}\nthe page shows:\n{}\nit said: {:#?}", self.text("body"), self.complaints);
        }
    }

    /// Presses a key, by its name: `Tab`, `Enter`.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            other => panic!("the key {other} is not known here"),
        };
        let key =
            |kind: &str| json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
        let down = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        for event in [key(down), key("keyUp")] {
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Writes what is shown into a PNG file.
    pub fn screenshot(&mut self, path: &Path) {
        let data = self.call("Page.captureScreenshot", json!({"format": "png"}))["data"].take();
        fs::write(path, base64(data.as_str().expect("a picture"))).expect("written");
    }

    /// Errors that the page's scripts, its policy and the network had since the last time that this was asked.
    pub fn complaints(&mut self) -> Vec<String> {
        // Whatever was said before this answer is here with it.
        self.eval("null");
        std::mem::take(&mut self.complaints)
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let sent = self.commands.write_all(format!("{message}\0").as_bytes());
        sent.unwrap_or_else(|error| panic!("{method}: {error}; it said: {}", self.said()));
        let until = Instant::now() + PATIENCE;
        loop {
            let mut message = self.next(until, method);
            if message["id"] == json!(self.last_id) {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push_back(message);
        }
    }

    fn await_event(&mut self, method: &str) {
        let until = Instant::now() + PATIENCE;
        while let Some(event) = self.events.pop_front() {
            if event["method"] == method {
                return;
            }
        }
        while self.next(until, method)["method"] != method {}
    }

    fn next(&mut self, until: Instant, what: &str) -> Value {
        let left = until.saturating_duration_since(Instant::now());
        let message = self.messages.recv_timeout(left);
        let message = message.unwrap_or_else(|error| panic!("{what}: {error}; it said: {}", self.said()));
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.complaints.push(params["exceptionDetails"].to_string()),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.complaints.push(params["entry"]["text"].to_string() + &params["entry"]["url"].to_string());
            }
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => {
                self.complaints.push(params["args"].to_string());
            }
            _ => {}
        }
        message
    }

    fn said(&self) -> String {
        fs::read_to_string(self.dir.join("stderr")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Everything that the browser says, one message each.
fn listen(pipe: impl Read + Send + 'static) -> mpsc::Receiver<Value> {
    let (said, messages) = mpsc::channel();
    thread::spawn(move || {
        for message in BufReader::new(pipe).split(0).map_while(Result::ok) {
            let Ok(message) = serde_json::from_slice(&message) else { return };
            if said.send(message).is_err() {
                return;
            }
        }
    });
    messages
}

/// Bytes of a base64 text.
fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::with_capacity(text.len() / 4 * 3));
    for value in text.bytes().filter_map(|letter| LETTERS.iter().position(|other| *other == letter)) {
        (bits, held) = ((bits << 6 | value as u32) & 0xffff, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}
