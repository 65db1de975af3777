//! How many clients the HTTP server listens to, and for how long: what one of them can hold in memory, and so all.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Sleep;

/// How many connections are open at once. Where there is one more, the oldest ends: whoever asks whether the process lives
/// mustn't wait behind those who ask nothing.
pub(super) const AT_ONCE: usize = 32;

/// How long a connection lasts, whatever its client does: so long may a slow one take a place. Browsers connect again.
pub(super) const LASTS: Duration = Duration::from_secs(30);

/// A listening socket of which [`AT_ONCE`] connections are open at once, each for [`LASTS`].
#[derive(Debug)]
pub(super) struct Connections {
    listener: TcpListener,
    places: Arc<Semaphore>,
    /// Each ends its connection when it is dropped; the oldest first.
    open: VecDeque<oneshot::Sender<()>>,
}

impl Connections {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(AT_ONCE)), open: VecDeque::new() }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        self.open.retain(|connection| !connection.is_closed());
        while self.open.len() >= AT_ONCE {
            self.open.pop_front();
        }
        // Nobody closes it.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (end, ended) = oneshot::channel();
        self.open.push_back(end);
        let over = Box::pin(tokio::time::sleep(LASTS));
        (Connection { stream, over, ended, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A client's connection; it fails when its time is over, or another needs its place.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    over: Pin<Box<Sleep>>,
    ended: oneshot::Receiver<()>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.over.as_mut().poll(context).is_ready() || Pin::new(&mut self.ended).poll(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn listening() -> (Connections, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Connections::new(listener), address)
    }

    #[tokio::test]
    async fn given_as_many_connections_as_may_be_when_one_more_comes_then_the_oldest_ends_and_it_is_taken() {
        let (mut connections, address) = listening().await;
        let (mut clients, mut taken) = (Vec::new(), Vec::new());
        for _ in 0..AT_ONCE {
            clients.push(TcpStream::connect(address).await.unwrap());
            let mut connection = connections.accept().await.0;
            taken.push(tokio::spawn(async move { connection.read_u8().await }));
        }
        for oldest in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
            let one_more = tokio::time::timeout(Duration::from_secs(20), connections.accept()).await;
            let mut connection = one_more.expect("it is taken").0;
            taken.push(tokio::spawn(async move { connection.read_u8().await }));
            let ended = tokio::time::timeout(Duration::from_secs(20), &mut taken[oldest]).await;
            let ended = ended.expect("it ends").unwrap();
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert!(taken[3..].iter().all(|connection| !connection.is_finished()));
    }

    #[tokio::test]
    async fn given_a_connection_that_isnt_gone_yet_then_the_next_waits_for_its_place() {
        let (mut connections, address) = listening().await;
        let (mut clients, mut taken) = (Vec::new(), Vec::new());
        for _ in 0..AT_ONCE {
            clients.push(TcpStream::connect(address).await.unwrap());
            taken.push(connections.accept().await.0);
        }
        clients.push(TcpStream::connect(address).await.unwrap());
        let mut next = std::pin::pin!(connections.accept());
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut next).await.is_err());
        taken.remove(0);
        assert!(tokio::time::timeout(Duration::from_secs(20), next).await.is_ok());
    }

    #[tokio::test]
    async fn given_a_client_that_says_nothing_then_its_connection_ends() {
        let (mut connections, address) = listening().await;
        let _client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = connections.accept().await;
        connection.over = Box::pin(tokio::time::sleep(Duration::from_millis(50)));
        let read =
            tokio::time::timeout(Duration::from_secs(30), connection.read_u8()).await.expect("it ends");
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
