//! A request over HTTP/2.

use std::pin::pin;

use bytes::Bytes;
use h2::client;
use http::{HeaderMap, Request};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Answer;

/// Bytes of header fields that are taken of an answer.
const LONGEST_HEAD: u32 = 64 * 1024;

/// Sends a request, with a body if there is one, and reads the answer up to `longest` bytes of
/// its body; trailers only if the body ends before. Nothing outlives the returned future.
pub(in crate::probe) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<()>,
    payload: Option<Bytes>,
    longest: usize,
) -> Result<Answer, h2::Error> {
    let (sender, connection) = client::Builder::new()
        .enable_push(false)
        .max_header_list_size(LONGEST_HEAD)
        .handshake(stream)
        .await?;
    let mut exchange = pin!(async move {
        let mut sender = sender.ready().await?;
        let (response, mut body) = sender.send_request(request, payload.is_none())?;
        if let Some(payload) = payload {
            body.send_data(payload, true)?;
        }
        let (head, mut incoming) = response.await?.into_parts();
        let mut body = Vec::new();
        let mut trailers = HeaderMap::new();
        while body.len() < longest {
            let Some(data) = incoming.data().await.transpose()? else {
                trailers = incoming.trailers().await?.unwrap_or_default();
                break;
            };
            incoming.flow_control().release_capacity(data.len())?;
            let room = data.len().min(longest - body.len());
            body.extend(&data[..room]);
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            trailers,
        })
    });
    tokio::select! {
        biased;
        done = &mut exchange => return done,
        // A connection that broke breaks the exchange with a word of its own.
        ended = connection => ended?,
    }
    exchange.await
}
