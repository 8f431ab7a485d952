//! Targets that misbehave in one way each.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// What a broken target does with a connection on which it has read something.
#[derive(Clone, Copy, Debug)]
pub enum Broken {
    /// Reads and never answers.
    Silent,
    /// Answers in another language.
    Garbage,
    /// A head that never ends.
    EndlessHead,
    /// Closes in the middle of the body.
    EarlyClose,
    /// Says something more after the response.
    Chatty,
    /// A body of this many bytes.
    Large(usize),
}

/// Listens and misbehaves until the test's process ends.
pub fn broken(how: Broken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream, how));
        }
    });
    address
}

/// An address where nothing listens.
pub fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

fn serve(mut stream: TcpStream, how: Broken) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer) {
        let answered = match how {
            Broken::Silent => Ok(()),
            Broken::Garbage => stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"),
            Broken::EndlessHead => endless(&mut stream),
            Broken::EarlyClose => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
                return;
            }
            Broken::Chatty => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 NO\r\n"),
            Broken::Large(size) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![b'x'; size]))
            }
        };
        if answered.is_err() {
            return;
        }
    }
}

fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
    loop {
        stream.write_all(b"X-More: and more\r\n")?;
    }
}
