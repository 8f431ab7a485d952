//! A TCP proxy whose streams a test can cut, refuse, and rob of their answers.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes everything on to one address until it is cut.
pub struct Proxy {
    pub address: SocketAddr,
    open: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    /// Bytes that may still be asked before answers are swallowed.
    asks: Arc<AtomicU64>,
}

impl Proxy {
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let open = Arc::new(AtomicBool::new(true));
        let streams = Arc::new(Mutex::new(Vec::new()));
        let asks = Arc::new(AtomicU64::new(u64::MAX));
        let (accepts, kept, left) = (open.clone(), streams.clone(), asks.clone());
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
                for (asking, mut a, mut b) in [(true, clone(&from), clone(&onward)), (false, onward, from)] {
                    let left = left.clone();
                    thread::spawn(move || {
                        let mut buffer = [0; 65_536];
                        while let Ok(count @ 1..) = a.read(&mut buffer) {
                            let count_asked = if asking { count as u64 } else { 0 };
                            let less = |left: u64| (left != u64::MAX).then(|| left.saturating_sub(count_asked));
                            let before =
                                left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).unwrap_or(u64::MAX);
                            if !asking && before == 0 {
                                continue;
                            }
                            if b.write_all(&buffer[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = b.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Proxy { address, open, streams, asks }
    }

    /// Lets so many bytes of questions pass, and from then on no answer until [`Proxy::mend`].
    pub fn mute_after(&self, bytes: u64) {
        self.asks.store(bytes, Ordering::SeqCst);
    }

    /// Breaks every stream, and accepts none until [`Proxy::mend`].
    pub fn cut(&self) {
        self.open.store(false, Ordering::SeqCst);
        for stream in self.streams.lock().expect("not poisoned").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn mend(&self) {
        self.asks.store(u64::MAX, Ordering::SeqCst);
        self.open.store(true, Ordering::SeqCst);
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a descriptor")
}
