//! A stream that ends in an error when too much has come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Connection;

/// A connection below a protocol whose crate reads as it likes: whatever the protocol lets a
/// server repeat (interim responses, pings, empty records), it has a bounded number of bytes for.
#[derive(Debug)]
pub(super) struct Metered {
    stream: Connection,
    left: usize,
}

impl Metered {
    /// Far more than any answer that a probe reads, and a moment's work.
    const MOST: usize = 1 << 20;

    pub(super) fn new(stream: Connection) -> Metered {
        Metered {
            stream,
            left: Metered::MOST,
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            let most = Metered::MOST;
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

impl AsyncWrite for Metered {
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
