//! The values of one statement, by the kind of its key.

use crate::diagnostic::shown;
use crate::keys::{Key, Kind};
use crate::literal::{self, LARGEST_MSS, NotAnInteger, SMALLEST_MSS};
use crate::source::Span;
use crate::text;
use crate::tree::{Entry, Word};
use crate::value::{PortValue, Value};

use super::Reader;
use super::read_words::{available, listed};

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
            Kind::List => self.list(key, span, &words),
            Kind::Interfaces => self.interfaces(key, &words)?,
            Kind::Words(known) => self.words(key, &words, known)?,
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

    pub(super) fn unexpected(&mut self, key: &Key, span: Span, first: &Word<'_>, extra: &Word<'_>) {
        let hint = match key.kind {
            Kind::Text
            | Kind::EscapedText
            | Kind::Bytes
            | Kind::Header
            | Kind::Regex
            | Kind::Command => "put a text that has blanks in quotation marks".to_owned(),
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

    fn list(&mut self, key: &Key, span: Span, words: &[Word<'_>]) -> Value {
        let bracketed = words.len() > 1
            && words.first().is_some_and(|word| word.raw() == b"[")
            && words.last().is_some_and(|word| word.raw() == b"]");
        if !bracketed {
            let message = format!("`{}` takes {}", key.name, expectation(key));
            self.report
                .strict(span, "strict-list", message)
                .hint("write blanks behind `[` and before `]`");
        }
        Value::Anything
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
            Kind::Network => self.network(key, word).map(Value::Network),
            Kind::Ports => match literal::ports(&word.text()) {
                Ok(ports) => Some(Value::Ports(ports)),
                Err(hint) => {
                    self.refuse(key, word, "bad-ports", Some(hint.to_owned()));
                    None
                }
            },
            Kind::Mss => {
                let clamp = literal::mss(&word.text());
                if clamp.is_none() {
                    self.refuse(key, word, "bad-mss", None);
                }
                clamp.map(Value::Mss)
            }
            Kind::Interface => {
                self.interface(key, word, false)?;
                self.utf8(key, word).map(Value::Text)
            }
            Kind::Text => self.utf8(key, word).map(Value::Text),
            Kind::Bytes
            | Kind::Time
            | Kind::TimeOr(_)
            | Kind::Statuses
            | Kind::Header
            | Kind::Regex
            | Kind::Command
            | Kind::File
            | Kind::UrlPath
            | Kind::Name => self.of_a_monitor(key, word),
            Kind::EscapedText => self.escaped(key, word),
            Kind::Word(words) => self.word(key, word, words),
            Kind::Scheduler => self.scheduler(key, word),
            Kind::Floating | Kind::Interfaces | Kind::Words(_) | Kind::List | Kind::Anything => {
                unreachable!("read by their own functions")
            }
        }
    }

    /// `key` must be EXPECTATION, not `word`.
    pub(super) fn refuse(
        &mut self,
        key: &Key,
        word: &Word<'_>,
        code: &'static str,
        hint: Option<String>,
    ) {
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

    pub(super) fn utf8(&mut self, key: &Key, word: &Word<'_>) -> Option<String> {
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
        Kind::Network => "an address, or a network such as `192.0.2.0/24`".to_owned(),
        Kind::Ports => "port numbers and ranges, such as `80,443,1024-65535`".to_owned(),
        Kind::Mss => {
            format!("`auto`, or a whole number from {SMALLEST_MSS} to {LARGEST_MSS}{unit}, or 0")
        }
        Kind::Interface => "the name of an interface".to_owned(),
        Kind::Interfaces => "names of interfaces".to_owned(),
        Kind::Text | Kind::EscapedText | Kind::Bytes => "a text".to_owned(),
        Kind::Time => {
            "a time from 10ms to 86400 (seconds), such as `2`, `0.5` or `500ms`".to_owned()
        }
        Kind::TimeOr(words) => format!(
            "one of {}, or a time from 10ms to 86400 (seconds), such as `0.5`",
            listed(words)
        ),
        Kind::Statuses => {
            "status codes from 100 to 599 and ranges, such as `200-299,301`".to_owned()
        }
        Kind::Header => "a header, `Name: value`".to_owned(),
        Kind::Regex => "a regular expression".to_owned(),
        Kind::Command => "a program with its arguments".to_owned(),
        Kind::File => "the absolute path of a file".to_owned(),
        Kind::UrlPath => "the path of a URL, such as `/health?full=1`".to_owned(),
        Kind::Name => "the name of a host or domain".to_owned(),
        Kind::Word(words) => format!("one of {}", listed(words)),
        Kind::Words(words) => format!("some of {}", listed(words)),
        Kind::Scheduler => format!("one of {}", listed(&available())),
        Kind::List => "a list, `[ a b ]`".to_owned(),
        Kind::Anything => "anything".to_owned(),
    }
}
