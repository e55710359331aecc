//! The values of one statement, by the kind of its key.

use std::fmt::Display;
use std::net::IpAddr;

use caribe_model::Scheduler;

use crate::diagnostic::shown;
use crate::keys::{Key, Kind};
use crate::literal::{self, Host, Mask, NotAMask, NotAnInteger, interface_fault};
use crate::resemblance::closest;
use crate::source::Span;
use crate::text;
use crate::tree::{Entry, Word};
use crate::value::{FloatingValue, PortValue, Value};

use super::Reader;

/// What Piranha knew, in the order of its manual.
const PIRANHA_SCHEDULERS: [&str; 8] = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh"];
/// What IPVS has beyond that.
const FURTHER_SCHEDULERS: [&str; 6] = ["sed", "nq", "mh", "fo", "ovf", "twos"];
/// Longest `send` and `expect` that Piranha's manuals allow.
const PIRANHA_MAX_TEXT: usize = 255;

impl Reader<'_, '_> {
    /// Reads the values of a statement; `None` when they were refused, and reported.
    pub(super) fn read(&mut self, key: &Key, entry: &Entry) -> Option<(Value, Span)> {
        let words: Vec<Word<'_>> = entry.values().collect();
        let [first, rest @ ..] = words.as_slice() else {
            self.report
                .error(
                    entry.end_span(),
                    "missing-value",
                    format!("no value behind `{} =`", key.name),
                )
                .hint(format!("`{}` takes {}", key.name, expectation(key)));
            return None;
        };
        if first.raw() == b"=" {
            self.report
                .error(first.span(), "unexpected-value", "a second `=`")
                .hint("write `key = value`");
            return None;
        }
        let span = rest
            .last()
            .map_or(first.span(), |last| first.span().to(last.span()));
        let value = match key.kind {
            Kind::Anything => Value::Anything,
            Kind::Interfaces => self.interfaces(key, &words)?,
            Kind::Floating => self.floating(key, first, rest)?,
            _ => {
                if let [extra, ..] = rest {
                    self.unexpected(key, extra.span().to(span), first, extra);
                    return None;
                }
                self.single(key, first)?
            }
        };
        Some((value, span))
    }

    fn unexpected(&mut self, key: &Key, span: Span, first: &Word<'_>, extra: &Word<'_>) {
        let hint = match key.kind {
            Kind::Text | Kind::EscapedText => {
                "put a text that has blanks in quotation marks".to_owned()
            }
            _ if extra.raw() == b"}" => "put every `}` on a line of its own".to_owned(),
            _ => format!("`{}` takes {}", key.name, expectation(key)),
        };
        self.report
            .error(
                span,
                "unexpected-value",
                format!(
                    "unexpected {} behind `{} = {}`",
                    shown(extra.raw()),
                    key.name,
                    shown(first.raw()).trim_matches('`'),
                ),
            )
            .hint(hint);
    }

    fn single(&mut self, key: &Key, word: &Word<'_>) -> Option<Value> {
        match key.kind {
            Kind::Integer { min, max } => self.integer(key, word, min, max).map(Value::Integer),
            Kind::Boolean => self.boolean(key, word),
            Kind::Port {
                min,
                piranha_takes_names,
            } => self.port(key, word, min, piranha_takes_names),
            Kind::Host => self.host(key, word).map(Value::Address),
            Kind::Address => self.address(key, word).map(Value::Address),
            Kind::Netmask => self.mask(key, word),
            Kind::Interface => {
                self.interface(key, word, false)?;
                self.utf8(key, word).map(Value::Text)
            }
            Kind::Text => self.utf8(key, word).map(Value::Text),
            Kind::EscapedText => self.escaped(key, word),
            Kind::Word(words) => self.word(key, word, words),
            Kind::Scheduler => self.scheduler(key, word),
            Kind::Floating | Kind::Interfaces | Kind::Anything => {
                unreachable!("read by their own functions")
            }
        }
    }

    /// `key` must be EXPECTATION, not `word`.
    fn refuse(&mut self, key: &Key, word: &Word<'_>, code: &'static str, hint: Option<String>) {
        self.report
            .error(
                word.span(),
                code,
                format!(
                    "`{}` takes {}, not {}",
                    key.name,
                    expectation(key),
                    shown(word.raw())
                ),
            )
            .maybe_hint(hint);
    }

    fn integer(&mut self, key: &Key, word: &Word<'_>, min: i64, max: i64) -> Option<i64> {
        let integer = match literal::integer(&word.text()) {
            Ok(integer) => integer,
            Err(NotAnInteger::Malformed) => {
                self.refuse(key, word, "bad-integer", None);
                return None;
            }
            Err(NotAnInteger::NotOctal) => {
                let hint = "a leading 0 makes a number octal, and 8 and 9 are no octal digits: \
                            remove the 0";
                self.refuse(key, word, "bad-integer", Some(hint.to_owned()));
                return None;
            }
            Err(NotAnInteger::TooLarge) => {
                self.refuse(key, word, "out-of-range", None);
                return None;
            }
        };
        if !(min..=max).contains(&integer.value) {
            self.refuse(key, word, "out-of-range", None);
            return None;
        }
        if integer.surprisingly_octal {
            self.report
                .warning(
                    word.span(),
                    "octal",
                    format!("{} is octal and means {}", shown(word.raw()), integer.value),
                )
                .hint("remove the leading 0 if the number is decimal");
        }
        Some(integer.value)
    }

    fn boolean(&mut self, key: &Key, word: &Word<'_>) -> Option<Value> {
        let text = word.text();
        match literal::integer(&text).map(|integer| integer.value) {
            Ok(0) => return Some(Value::Boolean(false)),
            Ok(1) => return Some(Value::Boolean(true)),
            _ => {}
        }
        let instead = match text.to_ascii_lowercase().as_slice() {
            b"yes" | b"true" | b"on" | b"enable" | b"enabled" => Some("write 1"),
            b"no" | b"false" | b"off" | b"disable" | b"disabled" => Some("write 0"),
            _ => None,
        };
        self.refuse(key, word, "bad-boolean", instead.map(str::to_owned));
        None
    }

    fn port(
        &mut self,
        key: &Key,
        word: &Word<'_>,
        min: u16,
        piranha_takes_names: bool,
    ) -> Option<Value> {
        let text = word.text();
        let first = text.first().copied().unwrap_or_default();
        if first.is_ascii_digit() || matches!(first, b'-' | b'+') {
            let number = self.integer(key, word, min.into(), u16::MAX.into())?;
            // in range: just checked
            return u16::try_from(number)
                .ok()
                .map(|number| Value::Port(PortValue::Number(number)));
        }
        let name = String::from_utf8(text).ok().filter(|name| {
            !name.is_empty()
                && name.len() <= 64
                && name
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'/'))
        });
        let Some(name) = name else {
            self.refuse(key, word, "bad-port", None);
            return None;
        };
        if !piranha_takes_names {
            self.report
                .strict(
                    word.span(),
                    "strict-port-name",
                    "name of a service as the port of a server: old Piranha takes numbers here",
                )
                .hint("write the number");
        }
        Some(Value::Port(PortValue::Name(name)))
    }

    fn host(&mut self, key: &Key, word: &Word<'_>) -> Option<IpAddr> {
        let address = match literal::host(&word.text()) {
            Ok(Host::Address(address)) => address,
            Ok(Host::Name(name)) => self.resolved(key, word, name)?,
            Err(hint) => {
                self.refuse(key, word, "bad-address", Some(hint.to_owned()));
                return None;
            }
        };
        self.family(word, address);
        Some(address)
    }

    fn address(&mut self, key: &Key, word: &Word<'_>) -> Option<IpAddr> {
        let hint = match literal::host(&word.text()) {
            Ok(Host::Address(address)) => {
                self.family(word, address);
                return Some(address);
            }
            Ok(Host::Name(_)) => "a host name cannot be used here: write its address",
            Err(hint) => hint,
        };
        self.refuse(key, word, "bad-address", Some(hint.to_owned()));
        None
    }

    fn family(&mut self, word: &Word<'_>, address: IpAddr) {
        if address.is_ipv6() {
            self.report
                .strict(
                    word.span(),
                    "strict-ipv6",
                    format!("IPv6 address {address}: old Piranha knows IPv4 alone"),
                )
                .hint("leave it out of a file that old Piranha must read");
        }
    }

    fn resolved(&mut self, key: &Key, word: &Word<'_>, name: String) -> Option<IpAddr> {
        let resolver = self.resolver;
        let answer = self
            .hosts
            .entry(name)
            .or_insert_with_key(|name| resolver.host(name).map_err(|error| error.to_string()));
        match answer {
            Ok(address) => Some(*address),
            Err(reason) => {
                let message = format!(
                    "the host name {} of `{}` has no address: {reason}",
                    shown(word.raw()),
                    key.name
                );
                self.report
                    .error(word.span(), "unresolved-host", message)
                    .hint("correct the name, or write the address, which needs no name server");
                None
            }
        }
    }

    fn mask(&mut self, key: &Key, word: &Word<'_>) -> Option<Value> {
        match literal::mask(&word.text()) {
            Ok(mask) => {
                if let Mask::Length(length) = mask {
                    self.report
                        .strict(
                            word.span(),
                            "strict-prefix-length",
                            format!("prefix length {length}: old Piranha takes dotted netmasks"),
                        )
                        .hint("write it as in 255.255.255.0");
                }
                Some(Value::Mask(mask))
            }
            Err(NotAMask::NotContiguous) => {
                self.report
                    .error(
                        word.span(),
                        "bad-netmask",
                        format!(
                            "the netmask {} of `{}` is not contiguous",
                            shown(word.raw()),
                            key.name
                        ),
                    )
                    .hint("all 1 bits of a netmask stand before its 0 bits, as in 255.255.255.0");
                None
            }
            Err(NotAMask::Malformed) => {
                let hint = match word.raw().first() {
                    Some(b'/') => Some("write the length without `/`".to_owned()),
                    _ => None,
                };
                self.refuse(key, word, "bad-netmask", hint);
                None
            }
        }
    }

    fn floating(&mut self, key: &Key, address: &Word<'_>, rest: &[Word<'_>]) -> Option<Value> {
        let label = match rest {
            [label] => Some(label),
            [] => {
                let end = address.span().end;
                self.report
                    .error(
                        Span::new(end, end),
                        "missing-value",
                        format!("no interface behind the address of `{}`", key.name),
                    )
                    .hint(format!(
                        "write `{} = {} eth0:1`, with the interface that carries it",
                        key.name,
                        shown(address.raw()).trim_matches('`')
                    ));
                None
            }
            [_, extra @ ..] => {
                let span = extra[0].span().to(extra[extra.len() - 1].span()); // not empty
                self.unexpected(key, span, address, &extra[0]);
                None
            }
        };
        let address = self.host(key, address);
        let label = label?;
        self.interface(key, label, true)?;
        Some(Value::Floating(FloatingValue {
            address: address?,
            label: self.utf8(key, label)?,
            label_span: label.span(),
        }))
    }

    fn interfaces(&mut self, key: &Key, words: &[Word<'_>]) -> Option<Value> {
        let mut names: Vec<String> = Vec::new();
        let mut legal = true;
        for word in words {
            let name = self
                .interface(key, word, false)
                .and_then(|()| self.utf8(key, word));
            match name {
                None => legal = false,
                Some(name) if names.contains(&name) => self
                    .report
                    .warning(
                        word.span(),
                        "repeated-interface",
                        format!("interface {} is named twice", shown(word.raw())),
                    )
                    .hint("remove one of the two"),
                Some(name) => names.push(name),
            }
        }
        legal.then_some(Value::Interfaces(names))
    }

    fn interface(&mut self, key: &Key, word: &Word<'_>, alias: bool) -> Option<()> {
        let Some(fault) = interface_fault(&word.text(), alias) else {
            return Some(());
        };
        self.report
            .error(
                word.span(),
                "bad-interface",
                format!(
                    "{} of `{}` cannot be the name of an interface",
                    shown(word.raw()),
                    key.name
                ),
            )
            .hint(fault);
        None
    }

    fn utf8(&mut self, key: &Key, word: &Word<'_>) -> Option<String> {
        match String::from_utf8(word.text()) {
            Ok(text) => Some(text),
            Err(_) => {
                self.not_utf8(key, word);
                None
            }
        }
    }

    fn not_utf8(&mut self, key: &Key, word: &Word<'_>) {
        self.report
            .error(
                word.span(),
                "not-utf8",
                format!("the value of `{}` is not UTF-8 text", key.name),
            )
            .hint("save the file as UTF-8");
    }

    fn escaped(&mut self, key: &Key, word: &Word<'_>) -> Option<Value> {
        let inner = word.inner();
        if inner.len() > PIRANHA_MAX_TEXT {
            self.report
                .strict(
                    word.span(),
                    "strict-text-length",
                    format!(
                        "the value of `{}` has {} bytes: old Piranha allows {PIRANHA_MAX_TEXT}",
                        key.name,
                        inner.len()
                    ),
                )
                .hint("use a `send_program`");
        }
        let bytes = text::expand(inner);
        // What is sent may be any bytes; what is expected is compared as text.
        if key.name != "send" && std::str::from_utf8(&bytes).is_err() {
            self.not_utf8(key, word);
            return None;
        }
        Some(Value::Expanded(bytes))
    }

    fn word(&mut self, key: &Key, word: &Word<'_>, words: &[&'static str]) -> Option<Value> {
        let text = word.text();
        match words.iter().find(|known| known.as_bytes() == text) {
            Some(known) => Some(Value::Word(known)),
            None => {
                let near = closest(&text, words.iter().copied());
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                self.refuse(key, word, "bad-word", hint);
                None
            }
        }
    }

    fn scheduler(&mut self, key: &Key, word: &Word<'_>) -> Option<Value> {
        let text = word.text();
        let known = Scheduler::ALL
            .into_iter()
            .find(|scheduler| scheduler.name().as_bytes() == text);
        if let Some(scheduler) = known {
            if !PIRANHA_SCHEDULERS.contains(&scheduler.name()) {
                self.report
                    .strict(
                        word.span(),
                        "strict-scheduler",
                        format!("old Piranha does not know the scheduler `{scheduler}`"),
                    )
                    .hint(format!("it knows {}", PIRANHA_SCHEDULERS.join(", ")));
            }
            return Some(Value::Scheduler(scheduler));
        }
        if text == b"pcc" {
            let message = "`pcc` is the name that `lc` had before September 2000";
            match self.report.mode() {
                crate::Mode::Strict => self.report.error(word.span(), "misnomer", message),
                crate::Mode::Lenient => {
                    self.report
                        .warning(word.span(), "misnomer", format!("{message}: read as `lc`"))
                }
            }
            .hint("write `lc`");
            return Some(Value::Scheduler(Scheduler::Lc));
        }
        let is_of_ipvs = PIRANHA_SCHEDULERS
            .iter()
            .chain(&FURTHER_SCHEDULERS)
            .any(|name| name.as_bytes() == text);
        if is_of_ipvs {
            let message = format!("the scheduler {} is not in this release", shown(&text));
            self.report
                .error(word.span(), "unavailable-scheduler", message)
                .hint(format!("available are {}", listed(&available())));
        } else {
            let near = closest(&text, available());
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            self.refuse(key, word, "bad-word", hint);
        }
        None
    }
}

fn available() -> Vec<&'static str> {
    Scheduler::ALL.map(Scheduler::name).to_vec()
}

/// What a key takes, in words.
pub(crate) fn expectation(key: &Key) -> String {
    let unit = match key.unit {
        "" => String::new(),
        unit => format!(" ({unit})"),
    };
    match key.kind {
        Kind::Integer {
            min: i64::MIN,
            max: i64::MAX,
        } => format!("a whole number{unit}"),
        Kind::Integer { min, max } => format!("a whole number from {min} to {max}{unit}"),
        Kind::Boolean => "0 or 1".to_owned(),
        Kind::Port { min, .. } => {
            format!("a port number from {min} to 65535 or the name of a service")
        }
        Kind::Host => "an address or a host name".to_owned(),
        Kind::Address => "an address".to_owned(),
        Kind::Floating => "an address or host name, and an interface".to_owned(),
        Kind::Netmask => "a dotted netmask or a prefix length".to_owned(),
        Kind::Interface => "the name of an interface".to_owned(),
        Kind::Interfaces => "names of interfaces".to_owned(),
        Kind::Text | Kind::EscapedText => "a text".to_owned(),
        Kind::Word(words) => format!("one of {}", listed(words)),
        Kind::Scheduler => format!("one of {}", listed(&available())),
        Kind::Anything => "anything".to_owned(),
    }
}

fn listed(words: &[impl Display]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
