//! Values with their types, as they stand in a section.

use std::net::IpAddr;
use std::time::Duration;

use caribe_model::{MssClamp, Scheduler};

use crate::config::StatusSet;
use crate::keys::Kind;
use crate::literal::{self, Host, Mask};
use crate::network::Network;
use crate::port_set::PortSet;
use crate::source::Span;
use crate::text;

/// A value that its key takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Integer(i64),
    Boolean(bool),
    Port(PortValue),
    Address(IpAddr),
    Floating(FloatingValue),
    Mask(Mask),
    Mss(MssClamp),
    Network(Network),
    Ports(PortSet),
    Interfaces(Vec<String>),
    Time(Duration),
    Statuses(StatusSet),
    /// Name and value.
    Header(String, String),
    /// A program and its arguments; none at all for an empty text.
    Command(Vec<String>),
    /// Of a text, a name, a path or a regular expression, UTF-8.
    Text(String),
    /// With its backslash sequences expanded, any bytes.
    Expanded(Vec<u8>),
    Word(&'static str),
    Words(Vec<&'static str>),
    Scheduler(Scheduler),
    Anything,
}

/// A port as written: which number a name stands for depends on the protocol of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PortValue {
    Number(u16),
    Name(String),
}

/// An address and the label of what carries it, each with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FloatingValue {
    pub(crate) address: IpAddr,
    pub(crate) label: String,
    pub(crate) label_span: Span,
}

/// The value that a text of our own, such as a default in the key table, stands for; `None` when
/// it needs more than one word or a look-up.
pub(crate) fn constant(kind: Kind, written: &str) -> Option<Value> {
    let bytes = written.as_bytes();
    Some(match kind {
        Kind::Integer { .. } => Value::Integer(literal::integer(bytes).ok()?.value),
        Kind::Boolean => Value::Boolean(literal::integer(bytes).ok()?.value == 1),
        Kind::Port { .. } => {
            let number = literal::integer(bytes).ok()?.value;
            Value::Port(PortValue::Number(u16::try_from(number).ok()?))
        }
        Kind::Host | Kind::Address => match literal::host(bytes).ok()? {
            Host::Address(address) => Value::Address(address),
            Host::Name(_) => return None,
        },
        Kind::Netmask => Value::Mask(literal::mask(bytes).ok()?),
        Kind::Interface | Kind::Text | Kind::Regex | Kind::File | Kind::UrlPath | Kind::Name => {
            Value::Text(written.to_owned())
        }
        Kind::Bytes => Value::Expanded(text::expand_bytes(bytes)),
        Kind::Time => Value::Time(literal::time(bytes)?),
        Kind::TimeOr(words) => match words.iter().find(|word| **word == written) {
            Some(word) => Value::Word(word),
            None => Value::Time(literal::time(bytes)?),
        },
        Kind::Statuses => Value::Statuses(literal::statuses(bytes)?),
        Kind::Header => {
            let (name, value) = literal::header(bytes).ok()?;
            Value::Header(name, value)
        }
        Kind::Command => Value::Command(text::words(written)),
        Kind::EscapedText => Value::Expanded(text::expand(bytes)),
        Kind::Word(words) => Value::Word(words.iter().find(|word| **word == written)?),
        Kind::Scheduler => Value::Scheduler(written.parse().ok()?),
        Kind::Words(words) => Value::Words(vec![words.iter().find(|word| **word == written)?]),
        Kind::Mss => Value::Mss(literal::mss(bytes)?),
        Kind::Network => Value::Network(literal::network(bytes).ok()?.network),
        Kind::Ports => Value::Ports(literal::ports(bytes).ok()?),
        Kind::Floating | Kind::Interfaces | Kind::List | Kind::Anything => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Fallback, KEYS};

    #[test]
    fn every_default_and_neutral_value_of_the_table_can_be_read() {
        for key in KEYS {
            let default = match key.default {
                Fallback::Value(value) => Some(value),
                _ => None,
            };
            for written in key.neutral.iter().chain(&default) {
                assert!(
                    constant(key.kind, written).is_some(),
                    "{} = {written:?}",
                    key.name
                );
            }
        }
    }
}
