//! A probe's socket with what keeps its way open, and a bound on what comes by it.

use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};

use crate::path::Lease;

/// A connection. The socket is closed before its port is given back.
///
/// Reading ends in an error when too much has come. Checks stop long before; but HTTP and TLS are
/// read by crates that read as they like, and both let a server repeat things for ever (interim
/// responses, pings, empty records).
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Bytes that may still come.
    left: usize,
    /// It ends with a reset when it is closed, and not before.
    resets: bool,
    _lease: Option<Lease>,
}

/// A UDP socket that hears its target only.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    _lease: Option<Lease>,
}

impl Connection {
    /// Far more than any answer that a probe reads, and a moment's work.
    const MOST: usize = 1 << 20;

    pub(super) fn new(stream: TcpStream, lease: Option<Lease>) -> Connection {
        Connection {
            stream,
            left: Connection::MOST,
            resets: false,
            _lease: lease,
        }
    }

    /// Of a socket that is closed by a reset: no end is announced before that.
    pub(super) fn that_resets(self) -> Connection {
        Connection {
            resets: true,
            ..self
        }
    }
}

impl Datagrams {
    pub(super) fn new(socket: UdpSocket, lease: Option<Lease>) -> Datagrams {
        Datagrams {
            socket,
            _lease: lease,
        }
    }
}

impl Deref for Datagrams {
    type Target = UdpSocket;

    fn deref(&self) -> &UdpSocket {
        &self.socket
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            let most = Connection::MOST;
            let text = format!("the server sent more than {most} bytes and no end");
            return Poll::Ready(Err(io::Error::other(text)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        // The last read may go beyond by a buffer.
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.resets {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
