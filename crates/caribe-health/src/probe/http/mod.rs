//! HTTP: what is asked, what the answer must be, and the judgement.
//!
//! [`HttpCheck`] is the check, `words` has the parts of a request that cannot be wrong, `one`
//! and `two` carry it over HTTP/1 and HTTP/2; [`judge`] is pure.

mod one;
mod status;
pub(super) mod two;
mod words;

use http::{HeaderMap, Request, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::text::Quoted;
use super::tls::{Connector, TlsOptions, bracketed};
use super::way::Way;
use super::{Code, Octets, Pattern, socket};

pub use status::{StatusRanges, StatusRangesError};
pub use words::{Authority, Field, Method, RequestTarget, WordError};

/// One request and its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// The request's method; GET when nothing is said.
    #[serde(default)]
    pub method: Method,
    /// Path and query; `/` when nothing is said.
    #[serde(default)]
    pub path: RequestTarget,
    /// The host to ask for; the server's address and port when nothing is said.
    #[serde(default)]
    pub host: Option<Authority>,
    /// Further header fields, in order.
    #[serde(default)]
    pub headers: Vec<Field>,
    /// The version to speak. There is no falling back.
    #[serde(default)]
    pub version: HttpVersion,
    /// TLS below, which makes it https.
    #[serde(default)]
    pub tls: Option<TlsOptions>,
    /// The statuses of a good answer; 200-399 when nothing is said. Redirects are not followed.
    #[serde(default)]
    pub status: StatusRanges,
    /// What the body must have in it, all of it. Without any the body is not read.
    #[serde(default)]
    pub body: Vec<BodyCheck>,
}

/// The version of HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpVersion {
    /// HTTP/1.1; an answer in 1.0 is taken.
    #[default]
    #[serde(rename = "1.1")]
    One,
    /// HTTP/2; without TLS by prior knowledge.
    #[serde(rename = "2")]
    Two,
}

/// What a body must have in its first bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyCheck {
    /// These bytes somewhere.
    Contains(Octets),
    /// Something that the expression matches.
    Matches(Pattern),
}

/// What has been read of an answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// The first bytes of the body; empty when they were not wanted.
    pub body: Vec<u8>,
    /// Fields behind the body (HTTP/2), if the body was read to its end.
    pub trailers: HeaderMap,
    /// Fields before the body.
    pub headers: HeaderMap,
}

impl BodyCheck {
    /// No more than this is read of a body.
    pub const LONGEST: usize = 64 * 1024;

    fn is_met(&self, body: &[u8]) -> bool {
        match self {
            BodyCheck::Contains(octets) => memchr::memmem::find(body, octets.as_bytes()).is_some(),
            BodyCheck::Matches(pattern) => pattern.is_in(body),
        }
    }

    fn describe(&self) -> String {
        match self {
            BodyCheck::Contains(octets) => Quoted(octets.as_bytes()).to_string(),
            BodyCheck::Matches(pattern) => format!("a match of /{}/", pattern.as_str()),
        }
    }
}

/// Judges an answer: the code and the words for it.
pub fn judge(status: &StatusRanges, body: &[BodyCheck], answer: &Answer) -> (Code, String) {
    let number = answer.status.as_u16();
    let reason = answer.status.canonical_reason().unwrap_or("unnamed");
    if !status.contains(number) {
        let text = format!("status {number} ({reason}) is none of {status}");
        return (Code::L7Status, text);
    }
    match body.iter().find(|check| !check.is_met(&answer.body)) {
        Some(check) => {
            let (wanted, length) = (check.describe(), answer.body.len());
            let begin = Quoted(&answer.body);
            let text = format!("no {wanted} in the first {length} bytes of the body: {begin}");
            (Code::L7Response, text)
        }
        None => (Code::L7Ok, format!("status {number} ({reason})")),
    }
}

impl HttpCheck {
    /// What is offered by ALPN.
    pub(super) fn alpn(&self) -> &'static [&'static [u8]] {
        match self.version {
            HttpVersion::One => &[b"http/1.1"],
            HttpVersion::Two => &[b"h2"],
        }
    }

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
                let agreed = stream.get_ref().1.alpn_protocol();
                if self.version == HttpVersion::Two && agreed != Some(b"h2") {
                    return Err(Found::new(
                        Code::L6Response,
                        format_args!("{} does not speak HTTP/2: no ALPN for h2", target.address),
                    ));
                }
                self.ask(stream, target, deadline).await?
            }
        };
        let (code, text) = judge(&self.status, &self.body, &answer);
        let found = Found::new(code, text);
        if code.passed() { Ok(found) } else { Err(found) }
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        target: &Way<'_>,
        deadline: &Deadline,
    ) -> Step<Answer> {
        let address = target.address;
        let request = self.request(target)?;
        let longest = if self.body.is_empty() {
            0
        } else {
            BodyCheck::LONGEST
        };
        let stage = format_args!("READ to {address}");
        let failed = |error: String| {
            Found::new(
                Code::L7Response,
                format_args!("READ from {address} failed: {error}"),
            )
        };
        match self.version {
            HttpVersion::One => deadline
                .bound(Code::L7Timeout, stage, one::ask(stream, request, longest))
                .await?
                .map_err(|error| failed(one::describe(&error))),
            HttpVersion::Two => deadline
                .bound(
                    Code::L7Timeout,
                    stage,
                    two::ask(stream, request, None, longest),
                )
                .await?
                .map_err(|error| failed(error.to_string())),
        }
    }

    /// The request, in the form of its version.
    fn request(&self, target: &Way<'_>) -> Step<Request<()>> {
        let (scheme, usual_port) = match self.tls {
            Some(_) => ("https", 443),
            None => ("http", 80),
        };
        let host = self.host.as_ref().map_or_else(
            || match (bracketed(target.address.ip()), target.address.port()) {
                (address, port) if port == usual_port => address,
                (address, port) => format!("{address}:{port}"),
            },
            |host| host.as_str().to_owned(),
        );
        let builder = Request::builder().method(self.method.as_http());
        let builder = match self.version {
            HttpVersion::One => builder
                .uri(self.path.as_str())
                .header(http::header::HOST, &host),
            HttpVersion::Two => builder.version(http::Version::HTTP_2).uri(
                Uri::builder()
                    .scheme(scheme)
                    .authority(host.as_str())
                    .path_and_query(self.path.as_str())
                    .build()
                    .map_err(|error| local(&error))?,
            ),
        };
        let given = |name: &str| self.headers.iter().any(|field| field.is(name));
        let mut request = builder.body(()).map_err(|error| local(&error))?;
        let headers = request.headers_mut();
        if !given("user-agent") {
            headers.insert(
                http::header::USER_AGENT,
                http::HeaderValue::from_static(concat!("caribe/", env!("CARGO_PKG_VERSION"))),
            );
        }
        if self.version == HttpVersion::One && !given("connection") {
            headers.insert(
                http::header::CONNECTION,
                http::HeaderValue::from_static("close"),
            );
        }
        for field in &self.headers {
            let (name, value) = field.as_http();
            headers.append(name, value);
        }
        Ok(request)
    }
}

/// Each part of a request was checked when it was read; only their sum can still be refused.
fn local(error: &http::Error) -> Found {
    Found::new(
        Code::Local,
        format_args!("the request cannot be made: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Target;

    fn answer(status: u16, body: &[u8]) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            body: body.to_vec(),
            trailers: HeaderMap::new(),
            headers: HeaderMap::new(),
        }
    }

    #[test]
    fn the_status_is_judged_first_and_then_the_body() {
        let ranges = StatusRanges::default();
        let body = ["well", "all"].map(|text| BodyCheck::Contains(text.into()));
        let judged = |status, text: &[u8]| judge(&ranges, &body, &answer(status, text)).0;
        assert_eq!(judged(200, b"all is well"), Code::L7Ok);
        assert_eq!(judged(302, b"well, all"), Code::L7Ok);
        assert_eq!(judged(200, b"all is wel"), Code::L7Response);
        assert_eq!(judged(200, b"it is well"), Code::L7Response);
        assert_eq!(judged(500, b"all is well"), Code::L7Status);
        assert_eq!(judge(&ranges, &[], &answer(200, b"")).0, Code::L7Ok);
    }

    #[test]
    fn an_expression_looks_at_the_body() {
        let body = BodyCheck::Matches(Pattern::new("(?i)state: *(up|ok)").expect("compiles"));
        let ranges = StatusRanges::default();
        let judged = |text: &[u8]| judge(&ranges, std::slice::from_ref(&body), &answer(200, text));
        assert_eq!(judged(b"State:  OK\n").0, Code::L7Ok);
        let (code, text) = judged(b"State: bad\n");
        assert_eq!(code, Code::L7Response);
        assert_eq!(
            text,
            "no a match of /(?i)state: *(up|ok)/ in the first 11 bytes of the body: `State: bad\\n`"
        );
    }

    #[test]
    fn the_request_says_what_was_asked_for() {
        let target = Target::new("[2001:db8::1]:8080".parse().expect("an address"));
        let check = HttpCheck {
            headers: vec![Field::new("X-Probe", "yes").expect("a field")],
            ..HttpCheck::default()
        };
        let request = check.request(&Way::plain(&target)).expect("a request");
        assert_eq!(request.headers()["host"], "[2001:db8::1]:8080");
        assert_eq!(request.headers()["x-probe"], "yes");
        assert_eq!(request.uri(), "/");
        let check = HttpCheck {
            version: HttpVersion::Two,
            host: Some(Authority::try_from("www.example.org".to_owned()).expect("a host")),
            ..check
        };
        let request = check.request(&Way::plain(&target)).expect("a request");
        assert_eq!(request.uri(), "http://www.example.org/");
    }
}
