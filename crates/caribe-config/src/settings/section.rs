//! The settings of one block, with their types.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use caribe_model::{MssClamp, Scheduler};

use crate::config::{CommandLine, StatusSet};
use crate::keys::{self, Key, Place};
use crate::literal::Mask;
use crate::network::Network;
use crate::port_set::PortSet;
use crate::resemblance::closest;
use crate::source::Span;
use crate::tree::Block;
use crate::value::{FloatingValue, PortValue, Value, constant};

/// The settings of the file, or of one block.
pub(crate) struct Section<'t> {
    pub(crate) place: Place,
    /// `None` for the global part.
    pub(crate) block: Option<&'t Block>,
    pub(super) assigned: BTreeMap<&'static str, Assigned>,
    /// All statements of keys that may stand several times, in the order of the file.
    pub(super) repeated: Vec<Assigned>,
    /// Keys with a value that was refused: whatever depends on them cannot be judged.
    pub(super) refused: BTreeSet<&'static str>,
    /// A line could not be read: something may be missing only because of that.
    pub(crate) faulty: bool,
    /// The blocks inside, in the order of the file.
    pub(crate) children: Vec<Section<'t>>,
}

/// A key with the value that counts.
pub(crate) struct Assigned {
    pub(crate) key: &'static Key,
    pub(crate) value: Value,
    pub(crate) key_span: Span,
    /// All values.
    pub(crate) span: Span,
}

/// Each of these gives the value that is set, or the default of the key table. A key that has
/// none of the asked type is a mistake in the program: the test `every_key_has_its_meaning` sets
/// every key.
impl Section<'_> {
    /// Notes that a statement with this key, or nearly this key, could not be read.
    pub(super) fn refuse(&mut self, word: &[u8]) {
        let known = keys::allowed(self.place).map(|key| key.name);
        if let Some(name) = closest(word, known) {
            self.refused.insert(name);
        }
    }

    /// True when none of these keys has a value that was refused or may have been cut off.
    pub(crate) fn knows(&self, names: &[&str]) -> bool {
        let cut_off = self.block.is_some_and(|block| block.cut_off);
        names.iter().all(|name| {
            !self.refused.contains(name) && (!cut_off || self.assigned.contains_key(name))
        })
    }

    pub(crate) fn assigned(&self) -> impl Iterator<Item = &Assigned> {
        self.assigned.values()
    }

    /// The statements of a key that may stand several times.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.repeated
            .iter()
            .filter(move |assigned| assigned.key.name == name)
            .map(|assigned| &assigned.value)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Assigned> {
        self.assigned.get(name)
    }

    fn value(&self, name: &str) -> Option<Value> {
        match self.get(name) {
            Some(assigned) => Some(assigned.value.clone()),
            None => keys::find(self.place, name.as_bytes()).and_then(|key| match key.default {
                keys::Fallback::Value(written) => constant(key.kind, written),
                _ => None,
            }),
        }
    }

    pub(crate) fn integer(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Integer(value)) => value,
            other => unreachable!("`{name}` is an integer with a default, not {other:?}"),
        }
    }

    pub(crate) fn boolean(&self, name: &str) -> bool {
        match self.value(name) {
            Some(Value::Boolean(value)) => value,
            other => unreachable!("`{name}` is a boolean with a default, not {other:?}"),
        }
    }

    pub(crate) fn scheduler(&self, name: &str) -> Scheduler {
        match self.value(name) {
            Some(Value::Scheduler(value)) => value,
            other => unreachable!("`{name}` is a scheduler with a default, not {other:?}"),
        }
    }

    pub(crate) fn optional_integer(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            Some(Value::Integer(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn port(&self, name: &str) -> Option<PortValue> {
        match self.value(name) {
            Some(Value::Port(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn address(&self, name: &str) -> Option<IpAddr> {
        match self.value(name) {
            Some(Value::Address(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn floating(&self, name: &str) -> Option<&FloatingValue> {
        match &self.get(name)?.value {
            Value::Floating(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn mask(&self, name: &str) -> Option<Mask> {
        match self.value(name) {
            Some(Value::Mask(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn time(&self, name: &str) -> Option<Duration> {
        match self.value(name) {
            Some(Value::Time(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn statuses(&self, name: &str) -> Option<StatusSet> {
        match self.value(name) {
            Some(Value::Statuses(value)) => Some(value),
            _ => None,
        }
    }

    /// A program with its arguments; `None` when there is none.
    pub(crate) fn command(&self, name: &str) -> Option<CommandLine> {
        match self.value(name) {
            Some(Value::Command(words)) => CommandLine::new(words),
            _ => None,
        }
    }

    pub(crate) fn mss(&self, name: &str) -> MssClamp {
        match self.value(name) {
            Some(Value::Mss(value)) => value,
            _ => MssClamp::Off,
        }
    }

    pub(crate) fn network(&self, name: &str) -> Option<Network> {
        match self.value(name) {
            Some(Value::Network(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn ports(&self, name: &str) -> Option<PortSet> {
        match self.value(name) {
            Some(Value::Ports(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn word(&self, name: &str) -> Option<&'static str> {
        match self.value(name) {
            Some(Value::Word(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn words(&self, name: &str) -> Vec<&'static str> {
        match self.value(name) {
            Some(Value::Words(value)) => value,
            _ => Vec::new(),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Some(Value::Text(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn expanded(&self, name: &str) -> Option<&[u8]> {
        match &self.get(name)?.value {
            Value::Expanded(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn interfaces(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::Interfaces(value)) => value,
            _ => Vec::new(),
        }
    }

    /// Where to point for this key: its values, or the name of the block.
    pub(crate) fn span(&self, name: &str) -> Span {
        match (self.get(name), self.block) {
            (Some(assigned), _) => assigned.span,
            (None, Some(block)) => block.name_span(),
            (None, None) => Span::new(0, 0),
        }
    }

    /// The name of the block; empty for the global part.
    pub(crate) fn name(&self) -> &str {
        self.block.map_or("", Block::name)
    }
}
