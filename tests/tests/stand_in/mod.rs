//! A coordinator's HTTP side as the live page sees it: its files, a state, and events when a test sends one. It has no
//! grid.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::Value;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:";

/// It answers until the test's process ends.
pub struct StandIn {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    state: Value,
    /// Refuses everybody.
    away: bool,
    listeners: Vec<TcpStream>,
}

impl StandIn {
    pub fn start(state: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared { state, away: false, listeners: Vec::new() }));
        let answers = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = answers.clone();
                thread::spawn(move || answer(stream, &shared));
            }
        });
        StandIn { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// A new state, to everybody who follows.
    pub fn send(&self, state: Value) {
        let mut shared = locked(&self.shared);
        let event = event(&state);
        shared.state = state;
        shared.listeners.retain_mut(|stream| stream.write_all(event.as_bytes()).is_ok());
    }

    /// Breaks all connections, and refuses new ones.
    pub fn cut(&self) {
        let mut shared = locked(&self.shared);
        shared.away = true;
        for stream in shared.listeners.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Is there again, in another state.
    pub fn mend(&self, state: Value) {
        let mut shared = locked(&self.shared);
        (shared.away, shared.state) = (false, state);
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn event(state: &Value) -> String {
    format!("data: {state}\n\n")
}

fn answer(mut stream: TcpStream, shared: &Mutex<Shared>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|length| length > 0) {}
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut shared = locked(shared);
    if shared.away {
        return;
    }
    let (status, media, body) = match path.as_str() {
        "/api/events" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
            if stream.write_all((head.to_owned() + &event(&shared.state)).as_bytes()).is_ok() {
                shared.listeners.push(stream);
            }
            return;
        }
        "/api/state" => ("200 OK", "application/json", shared.state.to_string()),
        path => match file(path) {
            Some((media, body)) => ("200 OK", media, body),
            None => ("404 Not Found", "text/plain", "nothing here\n".to_owned()),
        },
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media}; charset=utf-8\r\nContent-Length: {length}\r\n\
         Content-Security-Policy: {POLICY}\r\nConnection: close\r\n\r\n"
    );
    let _ = stream.write_all((head + &body).as_bytes());
}

/// The page's files, from where they are written.
fn file(path: &str) -> Option<(&'static str, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../coordinator/src");
    let read = |name: &str| std::fs::read_to_string(source.join(name)).ok();
    match path {
        "/" => Some(("text/html", read("serve/page/live.html")?)),
        "/page/report.css" => Some(("text/css", read("report/page.css.tera")?)),
        _ => {
            let name = path.strip_prefix("/page/").filter(|name| !name.contains('/'))?;
            let media = if name.ends_with(".css") { "text/css" } else { "text/javascript" };
            Some((media, read(&format!("serve/page/{name}"))?))
        }
    }
}
