//! A question to a name server, by UDP, and by TCP when the answer does not fit.

use std::fmt;
use std::str::FromStr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::way::Way;
use super::{Code, datagram, socket};

/// Asks for records of a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsCheck {
    /// The name to ask for.
    pub name: DnsName,
    /// The type of the records.
    #[serde(default)]
    pub kind: DnsKind,
    /// What one of the records must be, as zone files write it: an address, a name, a text
    /// without its quotes. Without it, an answer without an error will do.
    #[serde(default)]
    pub expect: Option<String>,
}

/// A domain name, always absolute.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(Name);

/// Text that is no domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no domain name: {reason}")]
pub struct DnsNameError {
    name: String,
    reason: String,
}

impl TryFrom<String> for DnsName {
    type Error = DnsNameError;

    fn try_from(text: String) -> Result<DnsName, DnsNameError> {
        let refused = |reason: String| DnsNameError {
            name: text.chars().take(300).collect(),
            reason,
        };
        if text.is_empty() {
            return Err(refused("it is empty; the root is `.`".to_owned()));
        }
        let mut name = Name::from_str(&text).map_err(|error| refused(error.to_string()))?;
        name.set_fqdn(true);
        Ok(DnsName(name))
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> String {
        name.0.to_string()
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The types of records that can be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "DNS has named them")]
pub enum DnsKind {
    #[default]
    A,
    Aaaa,
    Cname,
    Mx,
    Ns,
    Ptr,
    Soa,
    Srv,
    Txt,
}

impl DnsKind {
    fn record_type(self) -> RecordType {
        match self {
            DnsKind::A => RecordType::A,
            DnsKind::Aaaa => RecordType::AAAA,
            DnsKind::Cname => RecordType::CNAME,
            DnsKind::Mx => RecordType::MX,
            DnsKind::Ns => RecordType::NS,
            DnsKind::Ptr => RecordType::PTR,
            DnsKind::Soa => RecordType::SOA,
            DnsKind::Srv => RecordType::SRV,
            DnsKind::Txt => RecordType::TXT,
        }
    }
}

/// What a datagram, or a message by TCP, is to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsReply {
    /// Not an answer to this question: another identity, another question, or no DNS at all.
    Stray,
    /// The answer, cut off: it is to be asked for by TCP.
    Truncated,
    /// The answer, judged.
    Judged(Code, String),
}

impl DnsCheck {
    /// The question as a message, with this identity.
    fn question(&self, identity: u16) -> Result<Vec<u8>, String> {
        /// What passes everywhere without fragments.
        const LARGEST_ANSWER: u16 = 1232;
        let mut message = Message::new(identity, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(self.query());
        let mut edns = Edns::new();
        edns.set_max_payload(LARGEST_ANSWER);
        message.set_edns(edns);
        message.to_vec().map_err(|error| error.to_string())
    }

    fn query(&self) -> Query {
        Query::query(self.name.0.clone(), self.kind.record_type())
    }

    /// Reads and judges a message that came for the question with this identity.
    pub fn judge(&self, identity: u16, bytes: &[u8]) -> DnsReply {
        let Ok(message) = Message::from_vec(bytes) else {
            return DnsReply::Stray;
        };
        let is_answer = message.metadata.message_type == MessageType::Response
            && message.metadata.id == identity;
        // A server that refuses may leave the question out.
        let is_ours = message
            .queries
            .first()
            .is_none_or(|query| *query == self.query());
        if !is_answer || !is_ours {
            return DnsReply::Stray;
        }
        let code = message.metadata.response_code;
        if code != ResponseCode::NoError {
            let text = format!("{} {}: {code}", self.name, self.kind.record_type());
            return DnsReply::Judged(Code::L7Status, text);
        }
        if message.metadata.truncation {
            return DnsReply::Truncated;
        }
        let kind = self.kind.record_type();
        let found: Vec<String> = message
            .answers
            .iter()
            .filter(|record| record.record_type() == kind)
            .map(|record| record.data.to_string())
            .collect();
        let shown = || found.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
        let (code, text) = match &self.expect {
            Some(_) if found.is_empty() => {
                (Code::L7Response, "no such record in the answer".to_owned())
            }
            None if found.is_empty() => (Code::L7Ok, "no such record, and no error".to_owned()),
            Some(expected) if !found.iter().any(|data| is_same(data, expected)) => (
                Code::L7Response,
                format!("{} instead of {expected}", shown()),
            ),
            _ => (Code::L7Ok, shown()),
        };
        DnsReply::Judged(code, format!("{} {kind}: {text}", self.name))
    }

    pub(super) async fn run(&self, target: &Way<'_>, deadline: &Deadline) -> Step<Found> {
        let address = target.address;
        let local = |error: String| Found::new(Code::Local, format_args!("cannot ask: {error}"));
        // The lower half of a random word.
        let random = getrandom::u32().map_err(|error| local(error.to_string()))?;
        let identity = (random & 0xffff) as u16;
        let question = self.question(identity).map_err(local)?;
        let socket = socket::connect_udp(target, deadline).await?;
        let what = format!("DNS query to {address}");
        let reply = datagram::ask(&socket, &question, &what, deadline, |bytes| {
            Some(self.judge(identity, bytes)).filter(|reply| *reply != DnsReply::Stray)
        })
        .await?;
        let reply = match reply {
            DnsReply::Truncated => {
                let bytes = ask_by_tcp(target, &question, deadline).await?;
                self.judge(identity, &bytes)
            }
            reply => reply,
        };
        match reply {
            DnsReply::Judged(code, text) if code.passed() => Ok(Found::new(code, text)),
            DnsReply::Judged(code, text) => Err(Found::new(code, text)),
            DnsReply::Stray | DnsReply::Truncated => Err(Found::new(
                Code::L7Response,
                format_args!("{address} did not answer the question by TCP"),
            )),
        }
    }
}

/// Sends a question by TCP, with its length before it, and reads one message.
async fn ask_by_tcp(target: &Way<'_>, question: &[u8], deadline: &Deadline) -> Step<Vec<u8>> {
    let address = target.address;
    let mut stream = socket::connect_tcp(target, deadline).await?;
    let failed = |error: std::io::Error| {
        Found::new(
            Code::L7Response,
            format_args!("DNS query to {address} by TCP failed: {error}"),
        )
    };
    let asking = async {
        // A question has a name of at most 255 bytes and little else.
        let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
        stream.write_u16(length).await?;
        stream.write_all(question).await?;
        let mut message = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut message).await?;
        Ok(message)
    };
    let stage = format_args!("DNS query to {address} by TCP");
    let asked = deadline.bound(Code::L7Timeout, stage, asking).await?;
    asked.map_err(failed)
}

/// Compares what zone files write in more than one way.
fn is_same(data: &str, expected: &str) -> bool {
    let plain = |text: &str| text.trim_matches('"').trim_end_matches('.').to_lowercase();
    plain(data) == plain(expected)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, CNAME, TXT};
    use hickory_proto::rr::{RData, Record};
    use proptest::prelude::*;

    use super::*;

    fn check(kind: DnsKind, expect: Option<&str>) -> DnsCheck {
        DnsCheck {
            name: DnsName::try_from("www.example.org".to_owned()).expect("a name"),
            kind,
            expect: expect.map(str::to_owned),
        }
    }

    fn response(check: &DnsCheck, code: ResponseCode, data: Vec<RData>) -> Message {
        let mut message = Message::new(7, MessageType::Response, OpCode::Query);
        message.metadata.response_code = code;
        message.add_query(check.query());
        for data in data {
            message.add_answer(Record::from_rdata(check.name.0.clone(), 60, data));
        }
        message
    }

    fn judge(check: &DnsCheck, message: &Message) -> DnsReply {
        check.judge(7, &message.to_vec().expect("encoded"))
    }

    fn code(reply: DnsReply) -> Option<Code> {
        match reply {
            DnsReply::Judged(code, _) => Some(code),
            DnsReply::Stray | DnsReply::Truncated => None,
        }
    }

    #[test]
    fn an_expected_record_must_be_among_those_of_its_type() {
        let address = |last| RData::A(A::new(192, 0, 2, last));
        let alias = RData::CNAME(CNAME("web.example.org.".parse().expect("a name")));
        let check = check(DnsKind::A, Some("192.0.2.2"));
        let good = response(
            &check,
            ResponseCode::NoError,
            vec![alias.clone(), address(1), address(2)],
        );
        assert_eq!(code(judge(&check, &good)), Some(Code::L7Ok));
        let other = response(&check, ResponseCode::NoError, vec![address(3)]);
        let text = "www.example.org. A: 192.0.2.3 instead of 192.0.2.2".to_owned();
        assert_eq!(
            judge(&check, &other),
            DnsReply::Judged(Code::L7Response, text)
        );
        let none = response(&check, ResponseCode::NoError, vec![alias]);
        assert_eq!(code(judge(&check, &none)), Some(Code::L7Response));
    }

    #[test]
    fn names_and_texts_are_compared_as_people_write_them() {
        let check = check(DnsKind::Txt, Some("state=up"));
        let text = RData::TXT(TXT::new(vec!["state=up".to_owned()]));
        let message = response(&check, ResponseCode::NoError, vec![text]);
        assert_eq!(code(judge(&check, &message)), Some(Code::L7Ok));
        assert!(is_same("WEB.example.org.", "web.example.org"));
    }

    #[test]
    fn a_refusal_is_a_status() {
        let check = check(DnsKind::A, None);
        let message = response(&check, ResponseCode::NXDomain, Vec::new());
        let DnsReply::Judged(Code::L7Status, text) = judge(&check, &message) else {
            panic!("not a status");
        };
        assert!(text.contains("Non-Existent Domain"), "{text}");
    }

    #[test]
    fn an_answer_to_something_else_is_a_stray() {
        let check = check(DnsKind::A, None);
        let good = response(&check, ResponseCode::NoError, Vec::new());
        let bytes = good.to_vec().expect("encoded");
        assert_eq!(check.judge(8, &bytes), DnsReply::Stray);
        assert_eq!(check.judge(7, &bytes[..11]), DnsReply::Stray);
        let question = check.question(7).expect("encoded");
        assert_eq!(check.judge(7, &question), DnsReply::Stray);
        let other = DnsCheck {
            kind: DnsKind::Aaaa,
            ..check.clone()
        };
        assert_eq!(other.judge(7, &bytes), DnsReply::Stray);
        let mut cut = good;
        cut.metadata.truncation = true;
        assert_eq!(judge(&check, &cut), DnsReply::Truncated);
    }

    #[test]
    fn only_names_are_names() {
        assert!(DnsName::try_from(".".to_owned()).is_ok());
        for name in [
            String::new(),
            "a..b".to_owned(),
            "x".repeat(64),
            "a.".repeat(200),
        ] {
            assert!(DnsName::try_from(name.clone()).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>) {
            let _ = check(DnsKind::A, Some("192.0.2.1")).judge(7, &bytes);
        }
    }
}
