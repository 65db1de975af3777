//! A way to the store on which nothing moves while it is held: every connection stays open, no byte gets through.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A running proxy.
#[derive(Debug)]
pub(crate) struct StoreProxy {
    held: Arc<AtomicBool>,
    address: SocketAddr,
}

impl StoreProxy {
    /// In front of the store at `endpoint`, not held.
    pub(crate) fn new(endpoint: &str) -> Self {
        let store = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { held: Arc::default(), address: listener.local_addr().unwrap() };
        let held = Arc::clone(&proxy.held);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(store) = TcpStream::connect(&store) else { continue };
                let (from, to) = (client.try_clone().unwrap(), store.try_clone().unwrap());
                let (one, other) = (Arc::clone(&held), Arc::clone(&held));
                thread::spawn(move || forward(from, to, &one));
                thread::spawn(move || forward(store, client, &other));
            }
        });
        proxy
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on nothing moves.
    pub(crate) fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Everything moves again.
    pub(crate) fn let_go(&self) {
        self.held.store(false, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, held: &AtomicBool) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        while held.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(10));
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other direction ends with it; a side that is gone already needs no word.
    drop(to.shutdown(std::net::Shutdown::Both));
}
