//! A target for tests: answers each connection with the next line of a script, and keeps what it was asked.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

/// A server that ends with its script.
pub struct Server {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    pub port: u16,
    asked: mpsc::Receiver<String>,
}

impl Server {
    /// Answers with these texts, byte by byte as given, a connection each.
    pub fn start(script: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, asked) = mpsc::channel();
        thread::spawn(move || {
            for answer in script {
                let Ok((mut socket, _)) = listener.accept() else { return };
                let request = read_request(&mut socket);
                // Who goes away early, or asks more than the test wants to know, is no failure of the server.
                let _ = sender.send(request);
                let _ = socket.write_all(answer.as_bytes());
            }
        });
        Server { url: format!("http://127.0.0.1:{port}"), port, asked }
    }

    /// The next request that came in: head and body.
    pub fn asked(&self) -> String {
        self.asked.recv().unwrap()
    }
}

/// An answer with a body.
pub fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn read_request(socket: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        // A TLS client waits for an answer before it says more.
        if bytes.first() == Some(&22) {
            return text;
        }
        match socket.read(&mut chunk) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&chunk[..count]),
            _ => return text,
        }
    }
}
