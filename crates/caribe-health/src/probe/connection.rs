//! A probe's socket with what keeps its way open.

use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};

use crate::path::Lease;

/// A connection. The socket is closed before its port is given back.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    _lease: Option<Lease>,
}

/// A UDP socket that hears its target only.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    _lease: Option<Lease>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, lease: Option<Lease>) -> Connection {
        Connection {
            stream,
            _lease: lease,
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
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
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
