//! The line to the server: bytes out, replies in, each within its time. Whatever breaks here leaves the line
//! unusable; the session above drops it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::reply::{Malformed, Reply};

/// What a line runs over.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Io for T {}

/// Why no reply came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The network failed.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The server hung up.
    #[error("the server closed the connection")]
    Closed,
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// What came is not SMTP.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// A line to the server.
pub(crate) struct Wire {
    io: Box<dyn Io>,
    /// Received and not yet read.
    received: Vec<u8>,
}

/// Connects, with Nagle's algorithm off: a mail is several small writes each waiting for an answer, and Nagle
/// with delayed acknowledgements would cost 40 ms for each.
pub(crate) async fn connect(host: &str, port: u16, within: Duration) -> Result<TcpStream, Broken> {
    let stream =
        timeout(within, TcpStream::connect((host, port))).await.map_err(|_| Broken::TimedOut(within))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Wire {
    /// A line over a stream.
    pub(crate) fn new(io: impl Io + 'static) -> Self {
        Wire { io: Box::new(io), received: Vec::new() }
    }

    /// The same line, encrypted.
    pub(crate) async fn into_tls(
        self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        within: Duration,
    ) -> Result<Self, Broken> {
        let connecting = TlsConnector::from(config).connect(name, self.io);
        let stream = timeout(within, connecting).await.map_err(|_| Broken::TimedOut(within))??;
        Ok(Wire::new(stream))
    }

    /// Writes all bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8], within: Duration) -> Result<(), Broken> {
        let writing = async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        };
        Ok(timeout(within, writing).await.map_err(|_| Broken::TimedOut(within))??)
    }

    /// Reads one reply; the time is for all of it.
    pub(crate) async fn read(&mut self, within: Duration) -> Result<Reply, Broken> {
        let reading = async {
            loop {
                if let Some((reply, used)) = Reply::parse(&self.received)? {
                    self.received.drain(..used);
                    return Ok(reply);
                }
                if self.io.read_buf(&mut self.received).await? == 0 {
                    return Err(Broken::Closed);
                }
            }
        };
        timeout(within, reading).await.map_err(|_| Broken::TimedOut(within))?
    }

    /// Whether nothing waits to be read: no reply nobody asked for, and the server has not hung up. What does
    /// wait can still be read afterwards.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        if !self.received.is_empty() {
            return false;
        }
        let mut space = [0_u8; 1024];
        let mut buffer = ReadBuf::new(&mut space);
        let pending = poll_fn(|cx| {
            std::task::Poll::Ready(Pin::new(&mut self.io).poll_read(cx, &mut buffer).is_pending())
        })
        .await;
        self.received.extend_from_slice(buffer.filled());
        pending
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn nagle_is_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = connect("127.0.0.1", port, Duration::from_secs(5)).await.unwrap();
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn an_unasked_reply_or_a_hang_up_is_noticed() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut wire = Wire::new(near);
        assert!(wire.is_quiet().await);
        far.write_all(b"421 bye\r\n").await.unwrap();
        assert!(!wire.is_quiet().await);
        assert_eq!(wire.read(Duration::from_secs(1)).await.unwrap().code, 421);
        assert!(wire.is_quiet().await);
        drop(far);
        assert!(!wire.is_quiet().await);
    }
}
