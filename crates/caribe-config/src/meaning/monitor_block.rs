//! What a `monitor` block amounts to.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use caribe_model::Protocol;

use crate::config::{
    BodyMatch, Expectation, Http, HttpMethod, HttpVersion, Initial, MonitorBlock, Probe,
    RecordType, Timing, Tls, TlsIdentity, Trust,
};
use crate::keys::Place;
use crate::literal::{is_name, regex_fault};
use crate::settings::Section;
use crate::value::Value;

use super::{Interpreter, number, seconds};

impl Interpreter<'_, '_> {
    /// The blocks of a service or server. Those with a part that was refused are left out; the
    /// report has the reason.
    pub(super) fn monitors(
        &mut self,
        section: &Section<'_>,
        service: &Section<'_>,
    ) -> Vec<MonitorBlock> {
        let blocks = section.children.iter();
        blocks
            .filter(|child| child.place == Place::Monitor)
            .filter_map(|block| self.monitor(block, service))
            .collect()
    }

    fn monitor(&mut self, block: &Section<'_>, service: &Section<'_>) -> Option<MonitorBlock> {
        let protocol = match block.name() {
            "udp" | "dns" => Protocol::Udp,
            _ => Protocol::Tcp,
        };
        let port = match block.port("port") {
            Some(port) => Some(self.port(block, "port", port, protocol)?),
            None => None,
        };
        Some(MonitorBlock {
            probe: self.probe(block)?,
            port: port.and_then(NonZeroU16::new),
            through_vip: block.word("through") == Some("vip"),
            source: block.address("source"),
            interface: block.text("interface"),
            timing: timing(block, service),
        })
    }

    fn probe(&mut self, block: &Section<'_>) -> Option<Probe> {
        let text = |key: &str| block.text(key);
        Some(match block.name() {
            "tcp" => self.tcp(block)?,
            "http" => Probe::Http(Box::new(http(block, None)?)),
            "https" => {
                let tls = self.tls(block)?;
                Probe::Http(Box::new(http(block, Some(tls))?))
            }
            "tls" => Probe::Tls(self.tls(block)?),
            "udp" => Probe::Udp {
                payload: bytes(block, "payload").unwrap_or_default(),
                expect: self.expectation(block)?,
            },
            "dns" => Probe::Dns {
                record: record(block.word("type")),
                name: text("name").or_else(|| self.lacks(block, "name", "www.example"))?,
                answer: text("answer"),
            },
            "smtp" => Probe::Smtp {
                helo: text("helo")?, // it has a default
            },
            "ping" => Probe::Ping,
            "script" => Probe::Script(
                block
                    .command("command")
                    .or_else(|| self.lacks(block, "command", "/usr/local/bin/check %h %p"))?,
            ),
            "grpc" => Probe::Grpc {
                service: text("service").unwrap_or_default(),
                tls: match block.boolean("tls") {
                    true => Some(self.tls(block)?),
                    false => None,
                },
            },
            "agent" => Probe::Agent {
                send: bytes(block, "send"),
            },
            _ => return None, // an unknown kind, which is reported
        })
    }

    fn tcp(&mut self, block: &Section<'_>) -> Option<Probe> {
        let (send, expect) = (bytes(block, "send"), self.expectation(block)?);
        let is_half = block.word("handshake") != Some("full");
        let talks = send.is_some() || expect.is_some();
        if is_half && talks && block.get("handshake").is_some() {
            self.report
                .warning(
                    block.span("handshake"),
                    "handshake-unused",
                    "`handshake = half` has no effect with `send` or `expect`: they take a \
                     whole connection",
                )
                .hint("remove `handshake`, or the other keys");
        }
        Some(if is_half && !talks {
            Probe::Syn
        } else {
            Probe::Tcp { send, expect }
        })
    }

    fn lacks<T>(&mut self, block: &Section<'_>, key: &str, example: &str) -> Option<T> {
        if block.knows(&[key]) {
            self.report
                .error(
                    block.span(""),
                    "missing-key-of-monitor",
                    format!("this `{}` monitor has no `{key}`", block.name()),
                )
                .hint(format!("add `{key} = {example}` or the like"));
        }
        None
    }

    /// `None` when it was refused.
    fn expectation(&mut self, block: &Section<'_>) -> Option<Option<Expectation>> {
        let Some(bytes) = bytes(block, "expect") else {
            return Some(None);
        };
        if !block.boolean("use_regex") {
            return Some(Some(match bytes.as_slice() {
                b"*" => Expectation::Anything,
                _ => Expectation::Prefix(bytes),
            }));
        }
        let fault = match String::from_utf8(bytes) {
            Ok(pattern) => match regex_fault(&pattern) {
                None => return Some(Some(Expectation::Regex(pattern))),
                Some(fault) => fault,
            },
            Err(_) => "it is not UTF-8; write `\\\\xHH` for such bytes".to_owned(),
        };
        self.report
            .error(
                block.span("expect"),
                "bad-regex",
                "with `use_regex`, `expect` takes a regular expression",
            )
            .hint(fault);
        None
    }

    fn tls(&mut self, block: &Section<'_>) -> Option<Tls> {
        let file = |key: &str| block.text(key).map(PathBuf::from);
        let identity = match (file("certificate"), file("key")) {
            (Some(certificate), Some(key)) => Some(TlsIdentity { certificate, key }),
            (None, None) => None,
            (certificate, _) => {
                let (has, lacks) = match certificate {
                    Some(_) => ("certificate", "key"),
                    None => ("key", "certificate"),
                };
                if block.knows(&[lacks]) {
                    self.report
                        .error(
                            block.span(has),
                            "half-an-identity",
                            format!("`{has}` needs `{lacks}`: a client has both"),
                        )
                        .hint(format!("add `{lacks}`, or remove `{has}`"));
                }
                return None;
            }
        };
        let ca = file("ca");
        let verify = match block.get("verify") {
            Some(_) => block.boolean("verify"),
            None => ca.is_some(),
        };
        if !verify && ca.is_some() {
            self.report
                .warning(
                    block.span("ca"),
                    "ca-unused",
                    "`ca` has no effect with `verify = 0`",
                )
                .hint("remove one of the two");
        }
        let trust = match (verify, ca) {
            (false, _) => Trust::Any,
            (true, None) => Trust::System,
            (true, Some(file)) => Trust::Issuers(file),
        };
        let host = || block.text("host").and_then(|host| name_of(&host));
        Some(Tls {
            server_name: block.text("sni").or_else(host),
            trust,
            identity,
        })
    }
}

/// A host without port, unless it is an address: those are not sent as server names.
fn name_of(host: &str) -> Option<String> {
    let name = host.split(':').next().unwrap_or_default();
    let is_address = host.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
    (!is_address && is_name(name)).then(|| name.to_owned())
}

fn http(block: &Section<'_>, tls: Option<Tls>) -> Option<Http> {
    let body = block.text("body").filter(|text| !text.is_empty());
    let regex = block.text("body_regex").filter(|text| !text.is_empty());
    let headers = block.all("header").filter_map(|value| match value {
        Value::Header(name, value) => Some((name.clone(), value.clone())),
        _ => None,
    });
    Some(Http {
        tls,
        version: match block.word("version") {
            Some("2") => HttpVersion::V2,
            _ => HttpVersion::V1,
        },
        method: match block.word("method") {
            Some("HEAD") => HttpMethod::Head,
            Some("OPTIONS") => HttpMethod::Options,
            Some("POST") => HttpMethod::Post,
            _ => HttpMethod::Get,
        },
        path: block.text("path")?, // it has a default
        host: block.text("host"),
        headers: headers.collect(),
        status: block.statuses("status")?, // it has a default
        body: body
            .map(BodyMatch::Contains)
            .into_iter()
            .chain(regex.map(BodyMatch::Regex))
            .collect(),
    })
}

fn record(word: Option<&str>) -> RecordType {
    match word {
        Some("AAAA") => RecordType::Aaaa,
        Some("CNAME") => RecordType::Cname,
        Some("MX") => RecordType::Mx,
        Some("NS") => RecordType::Ns,
        Some("PTR") => RecordType::Ptr,
        Some("SOA") => RecordType::Soa,
        Some("SRV") => RecordType::Srv,
        Some("TXT") => RecordType::Txt,
        _ => RecordType::A,
    }
}

fn bytes(block: &Section<'_>, key: &str) -> Option<Vec<u8>> {
    let bytes = block.expanded(key)?;
    (!bytes.is_empty()).then(|| bytes.to_vec())
}

fn timing(block: &Section<'_>, service: &Section<'_>) -> Timing {
    let interval = block
        .time("interval")
        .unwrap_or_else(|| seconds(service, "timeout"));
    let rise = block
        .optional_integer("rise")
        .and_then(|rise| u32::try_from(rise).ok()); // its range fits
    Timing {
        interval,
        timeout: block.time("timeout").unwrap_or(interval),
        rise: rise.unwrap_or_else(|| rise_by_reentry(seconds(service, "reentry"), interval)),
        fall: number(block, "fall"),
        fast_interval: block.time("fast_interval"),
        jitter: u8::try_from(block.integer("jitter")).unwrap_or_default(), // its range fits
        initial: match block.word("initial") {
            Some("checking") => Initial::Checking,
            Some("up") => Initial::Up,
            _ => Initial::LastKnown,
        },
    }
}

/// nanny's rule.
fn rise_by_reentry(reentry: Duration, interval: Duration) -> u32 {
    let rise = reentry.as_nanos() / interval.as_nanos().max(1);
    u32::try_from(rise).unwrap_or(u32::MAX).max(1)
}
