//! A request over HTTP/1.

use std::error::Error;
use std::future::Future;
use std::pin::pin;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Answer;

/// Header lines that are read of an answer, at most, and the bytes that they may take.
const MOST_HEADERS: usize = 100;
const LONGEST_HEAD: usize = 64 * 1024;

/// Sends a request without a body, and reads the answer up to `longest` bytes of its body.
/// Nothing outlives the returned future.
pub(super) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    request: Request<()>,
    longest: usize,
) -> Result<Answer, hyper::Error> {
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MOST_HEADERS)
        .max_buf_size(LONGEST_HEAD)
        .handshake(TokioIo::new(stream))
        .await?;
    let request = request.map(|()| Empty::<Bytes>::new());
    let exchange = pin!(async move {
        let response = sender.send_request(request).await?;
        let (head, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        while body.len() < longest {
            let Some(frame) = incoming.frame().await.transpose()? else {
                break;
            };
            if let Ok(data) = frame.into_data() {
                let room = data.len().min(longest - body.len());
                body.extend(&data[..room]);
            }
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            trailers: HeaderMap::new(),
        })
    });
    drive(exchange, pin!(connection)).await
}

/// Keeps the connection going while the exchange needs it. A connection that ends first may have
/// left the rest of the answer behind.
async fn drive<T>(
    mut exchange: std::pin::Pin<&mut impl Future<Output = T>>,
    connection: std::pin::Pin<&mut impl Future<Output = hyper::Result<()>>>,
) -> T {
    tokio::select! {
        biased;
        done = &mut exchange => return done,
        // Its error, if any, is the exchange's too.
        _ended = connection => {}
    }
    exchange.await
}

/// hyper's errors with the cause, which says more.
pub(super) fn describe(error: &hyper::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
