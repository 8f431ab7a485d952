//! A TCP proxy whose streams a test can cut and refuse.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes everything on to one address until it is cut.
pub struct Proxy {
    pub address: SocketAddr,
    open: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let open = Arc::new(AtomicBool::new(true));
        let streams = Arc::new(Mutex::new(Vec::new()));
        let (accepts, kept) = (open.clone(), streams.clone());
        thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                if !accepts.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(onward) = TcpStream::connect(to) else { continue };
                let mut kept = kept.lock().expect("not poisoned");
                for stream in [&from, &onward] {
                    let _ = stream.set_nodelay(true);
                    kept.extend(stream.try_clone());
                }
                drop(kept);
                for (mut a, mut b) in [(clone(&from), clone(&onward)), (onward, from)] {
                    thread::spawn(move || {
                        let mut buffer = [0; 65_536];
                        while let Ok(count @ 1..) = a.read(&mut buffer) {
                            if b.write_all(&buffer[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = b.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Proxy { address, open, streams }
    }

    /// Breaks every stream, and accepts none until [`Proxy::mend`].
    pub fn cut(&self) {
        self.open.store(false, Ordering::SeqCst);
        for stream in self.streams.lock().expect("not poisoned").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn mend(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a descriptor")
}
