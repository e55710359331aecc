//! The gRPC health protocol: `grpc.health.v1.Health/Check`.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use http::Request;
use prost::Message;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::http::{Answer, Authority, two};
use super::text::Quoted;
use super::tls::{Connector, TlsOptions, bracketed};
use super::way::Way;
use super::{Code, socket};

/// Asks a gRPC server for the health of one of its services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcCheck {
    /// The service; empty for the server as a whole.
    #[serde(default)]
    pub service: String,
    /// The `:authority` of the request; the server's address and port when nothing is said.
    #[serde(default)]
    pub authority: Option<Authority>,
    /// TLS below.
    #[serde(default)]
    pub tls: Option<TlsOptions>,
}

/// The request of `grpc.health.v1`.
#[derive(Clone, PartialEq, Eq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// The response of `grpc.health.v1`.
#[derive(Clone, PartialEq, Eq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `ServingStatus` of `grpc.health.v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HealthStatus {
    Serving,
    NotServing,
    ServiceUnknown,
    Unknown(i32),
}

impl From<i32> for HealthStatus {
    fn from(number: i32) -> HealthStatus {
        match number {
            1 => HealthStatus::Serving,
            2 => HealthStatus::NotServing,
            3 => HealthStatus::ServiceUnknown,
            other => HealthStatus::Unknown(other),
        }
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HealthStatus::Serving => f.write_str("SERVING"),
            HealthStatus::NotServing => f.write_str("NOT_SERVING"),
            HealthStatus::ServiceUnknown => f.write_str("SERVICE_UNKNOWN"),
            HealthStatus::Unknown(number) => write!(f, "UNKNOWN ({number})"),
        }
    }
}

/// Bytes before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// No more than this is read of an answer.
const LONGEST: usize = 4096;

/// Judges the answer to a health check: the code and the words for it.
pub fn judge(answer: &Answer) -> (Code, String) {
    let number = answer.status.as_u16();
    if number != 200 {
        return (Code::L7Status, format!("HTTP status {number}"));
    }
    // An answer without a body has its status in the one block of header fields.
    let field = |name| answer.trailers.get(name).or(answer.headers.get(name));
    let message = field("grpc-message").map(|value| value.as_bytes().to_vec());
    match field("grpc-status").map(|value| value.as_bytes()) {
        Some(b"0") => {}
        Some(status) => {
            let text = format!(
                "gRPC status {}: {}",
                Quoted(status),
                Quoted(&message.unwrap_or_default())
            );
            return (Code::L7Status, text);
        }
        None => return (Code::L7Response, "no gRPC status in the answer".to_owned()),
    }
    match read(&answer.body) {
        Ok(HealthStatus::Serving) => (Code::L7Ok, HealthStatus::Serving.to_string()),
        Ok(other) => (Code::L7Status, other.to_string()),
        Err(reason) => (Code::L7Response, reason),
    }
}

/// Reads the one message of an answer's body.
fn read(body: &[u8]) -> Result<HealthStatus, String> {
    let refused = || format!("{} is no gRPC message", Quoted(body));
    let (prefix, message) = body.split_at_checked(PREFIX).ok_or_else(refused)?;
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    if prefix[0] != 0 || usize::try_from(length) != Ok(message.len()) {
        return Err(refused());
    }
    HealthCheckResponse::decode(message)
        .map(|response| HealthStatus::from(response.status))
        .map_err(|_| refused())
}

impl GrpcCheck {
    pub(super) const ALPN: &'static [&'static [u8]] = &[b"h2"];

    pub(super) async fn run(
        &self,
        connector: Option<&Connector>,
        target: &Way<'_>,
        deadline: &Deadline,
    ) -> Step<Found> {
        let answer = match connector {
            None => {
                let stream = socket::connect_to_ask(target, deadline).await?;
                self.ask(stream, target, deadline).await?
            }
            Some(connector) => {
                let stream = connector.connect(target, deadline).await?;
                self.ask(stream, target, deadline).await?
            }
        };
        let (code, text) = judge(&answer);
        let found = Found::new(code, text);
        if code.passed() { Ok(found) } else { Err(found) }
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        target: &Way<'_>,
        deadline: &Deadline,
    ) -> Step<Answer> {
        let address = target.address;
        let authority = self.authority.as_ref().map_or_else(
            || format!("{}:{}", bracketed(address.ip()), address.port()),
            |authority| authority.as_str().to_owned(),
        );
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let request = Request::post(format!(
            "{scheme}://{authority}/grpc.health.v1.Health/Check"
        ))
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", concat!("caribe/", env!("CARGO_PKG_VERSION")))
        .body(())
        .map_err(|error| {
            Found::new(
                Code::Local,
                format_args!("the request cannot be made: {error}"),
            )
        })?;
        let asking = two::ask(stream, request, Some(self.message()), LONGEST);
        let stage = format_args!("gRPC health check of {address}");
        let asked = deadline.bound(Code::L7Timeout, stage, asking).await?;
        asked.map_err(|error| {
            Found::new(
                Code::L7Response,
                format_args!("gRPC health check of {address} failed: {error}"),
            )
        })
    }

    fn message(&self) -> Bytes {
        let request = HealthCheckRequest {
            service: self.service.clone(),
        };
        let encoded = request.encode_to_vec();
        let mut message = BytesMut::with_capacity(PREFIX + encoded.len());
        message.put_u8(0);
        // A name in a configuration is shorter than 4 GB.
        message.put_u32(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
        message.put_slice(&encoded);
        message.freeze()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};
    use proptest::prelude::*;

    use super::*;

    fn answer(grpc_status: Option<&'static str>, body: &[u8]) -> Answer {
        let mut trailers = HeaderMap::new();
        if let Some(status) = grpc_status {
            trailers.insert("grpc-status", HeaderValue::from_static(status));
        }
        Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: body.to_vec(),
            trailers,
        }
    }

    #[test]
    fn only_serving_serves() {
        let code = |status, body: &[u8]| judge(&answer(status, body)).0;
        assert_eq!(code(Some("0"), b"\0\0\0\0\x02\x08\x01"), Code::L7Ok);
        assert_eq!(code(Some("0"), b"\0\0\0\0\x02\x08\x02"), Code::L7Status);
        assert_eq!(code(Some("0"), b"\0\0\0\0\x00"), Code::L7Status);
        assert_eq!(code(Some("12"), b""), Code::L7Status);
        assert_eq!(code(None, b"\0\0\0\0\x02\x08\x01"), Code::L7Response);
    }

    #[test]
    fn what_is_no_message_is_told() {
        for body in [
            b"".as_slice(),
            b"\0\0\0\0",
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x03\x08\x01",
            b"\0\0\0\0\x02\x08\x01\x00",
            b"\0\xff\xff\xff\xff\x08\x01",
            b"\0\0\0\0\x02\xff\xff",
        ] {
            assert_eq!(
                judge(&answer(Some("0"), body)).0,
                Code::L7Response,
                "{body:?}"
            );
        }
    }

    #[test]
    fn the_question_names_the_service() {
        let check = GrpcCheck {
            service: "shop".to_owned(),
            ..GrpcCheck::default()
        };
        assert_eq!(&check.message()[..], b"\0\0\0\0\x06\x0a\x04shop");
        assert_eq!(&GrpcCheck::default().message()[..], b"\0\0\0\0\0");
    }

    proptest! {
        #[test]
        fn any_body_is_judged(body: Vec<u8>) {
            let _ = judge(&answer(Some("0"), &body));
        }
    }
}
