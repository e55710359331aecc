//! Tree to typed settings: every statement is looked up in the key table and its values are read
//! by the key's [`Kind`](crate::keys::Kind). What the settings amount to is found by
//! [`crate::meaning`].

mod read;
mod read_addresses;
mod read_monitors;
mod read_words;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use caribe_model::{MssClamp, Scheduler};

use crate::config::{CommandLine, StatusSet};
use crate::diagnostic::{Report, shown};
use crate::keys::{self, Key, Origin, Place};
use crate::literal::Mask;
use crate::network::Network;
use crate::port_set::PortSet;
use crate::resemblance::closest;
use crate::resolver::Resolver;
use crate::source::Span;
use crate::tree::{Block, BlockKind, Body, Document, Entry};
pub(crate) use read::expectation;

use crate::value::{FloatingValue, PortValue, Value, constant};

/// The settings of the file, or of one block.
pub(crate) struct Section<'t> {
    pub(crate) place: Place,
    /// `None` for the global part.
    pub(crate) block: Option<&'t Block>,
    assigned: BTreeMap<&'static str, Assigned>,
    /// All statements of keys that may stand several times, in the order of the file.
    repeated: Vec<Assigned>,
    /// Keys with a value that was refused: whatever depends on them cannot be judged.
    refused: BTreeSet<&'static str>,
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

/// Names that people know from elsewhere, and why there is no such key.
const NEVER_KEYS: [(&[&str], &str); 4] = [
    (
        &["mode", "heartbeat_dev", "log_file"],
        "old texts mention it, but no version read it: remove it",
    ),
    (
        &["amemthresh"],
        "IPVS compares the machine's free memory with it; Caribe's table has its size from the \
         start (`connections`), and the defences watch how full that is",
    ),
    (
        &["conntrack", "snat_reroute", "ignore_tunneled"],
        "this sysctl of IPVS is about netfilter, which balanced packets do not pass: remove it",
    ),
    (
        &[
            "run_estimation",
            "est_cpulist",
            "est_nice",
            "conn_lfactor",
            "svc_lfactor",
        ],
        "this sysctl of IPVS is about how the kernel's module works inside: remove it",
    ),
];

/// Reads all statements of a file.
pub(crate) fn settings<'t>(
    document: &'t Document,
    resolver: &dyn Resolver,
    report: &mut Report<'_>,
) -> Section<'t> {
    Reader {
        resolver,
        report,
        hosts: HashMap::new(),
    }
    .section(Place::Global, None, document.body())
}

struct Reader<'r, 's> {
    resolver: &'r dyn Resolver,
    report: &'r mut Report<'s>,
    /// Answers of the resolver, so that a name is asked for once in a file.
    hosts: HashMap<String, Result<IpAddr, String>>,
}

impl Reader<'_, '_> {
    fn section<'t>(
        &mut self,
        place: Place,
        block: Option<&'t Block>,
        body: &'t Body,
    ) -> Section<'t> {
        let mut section = Section {
            place,
            block,
            assigned: BTreeMap::new(),
            repeated: Vec::new(),
            refused: BTreeSet::new(),
            faulty: body.is_faulty(),
            children: Vec::new(),
        };
        for entry in body.entries() {
            if self.report.gives_up() {
                return section;
            }
            self.entry(&mut section, entry);
        }
        for word in body.faulty() {
            section.refuse(word);
        }
        for block in body.blocks().filter(|block| !block.unknown) {
            self.monitor_kind(block);
            let child = self.section(block.kind().into(), Some(block), block.body());
            section.children.push(child);
        }
        section
    }

    fn entry(&mut self, section: &mut Section<'_>, entry: &Entry) {
        let Some(key) = keys::find(section.place, entry.key()) else {
            section.refuse(entry.key());
            return self.unknown_key(section.place, entry);
        };
        if !self.fits_the_monitor(key, section, entry) {
            return section.refuse(entry.key());
        }
        let key = self.origin(key, section.place, entry);
        let Some((value, span)) = self.read(key, entry) else {
            section.refused.insert(key.name);
            return;
        };
        let key_span = entry.key_span();
        if key.repeatable {
            section.repeated.push(Assigned {
                key,
                value,
                key_span,
                span,
            });
            return;
        }
        if let Some(before) = section.assigned.get(key.name) {
            let line = self.report.line(before.key_span);
            self.report
                .warning(
                    key_span,
                    "repeated-key",
                    format!(
                        "`{}` is set on line {line} already: this one counts",
                        key.name
                    ),
                )
                .hint("remove one of the two");
        }
        let assigned = Assigned {
            key,
            value,
            key_span,
            span,
        };
        section.assigned.insert(key.name, assigned);
    }

    /// Tells of keys that are not Piranha's; gives the key that the statement is read as.
    fn origin(&mut self, key: &'static Key, place: Place, entry: &Entry) -> &'static Key {
        let span = entry.key_span();
        let name = key.name;
        match key.origin {
            Origin::Piranha => {}
            // In a block of Caribe's own the block was told of.
            Origin::Caribe if matches!(place, Place::Mark | Place::Monitor) => {}
            Origin::Caribe => self
                .report
                .strict(
                    span,
                    "strict-caribe-key",
                    format!("`{name}` is Caribe's own key: old Piranha refuses it"),
                )
                .hint("leave it out of a file that old Piranha must read"),
            Origin::Misnomer { instead } => {
                let message = format!("`{name}` was never a key that Piranha's daemons accepted");
                match self.report.mode() {
                    crate::Mode::Strict => self.report.error(span, "misnomer", message),
                    crate::Mode::Lenient => {
                        self.report
                            .warning(span, "misnomer", format!("{message}: it is {instead}"))
                    }
                }
                .hint("remove it, or use the proper key");
                if name == "debug"
                    && let Some(proper) = keys::find(place, b"debug_level")
                {
                    return proper;
                }
            }
        }
        key
    }

    /// Tells of a key of other kinds of monitors.
    fn fits_the_monitor(&mut self, key: &Key, section: &Section<'_>, entry: &Entry) -> bool {
        let kind = section.name();
        if key.monitors.is_empty()
            || key.monitors.contains(&kind)
            || !keys::MONITORS.contains(&kind)
        {
            return true;
        }
        let kinds = key.monitors.join(", ");
        self.report
            .error(
                entry.key_span(),
                "key-of-another-monitor",
                format!("a `{kind}` monitor has no key `{}`", key.name),
            )
            .hint(format!("it is for monitors of these kinds: {kinds}"));
        false
    }

    fn monitor_kind(&mut self, block: &Block) {
        let kind = block.name();
        if block.kind() != BlockKind::Monitor || kind.is_empty() || keys::MONITORS.contains(&kind) {
            return;
        }
        let hint = match closest(kind.as_bytes(), keys::MONITORS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("kinds are {}", keys::MONITORS.join(", ")),
        };
        self.report
            .error(
                block.name_span(),
                "unknown-monitor",
                format!("unknown kind of monitor {}", shown(kind.as_bytes())),
            )
            .hint(hint);
    }

    fn unknown_key(&mut self, place: Place, entry: &Entry) {
        let name = entry.key();
        let elsewhere = Place::ALL
            .into_iter()
            .find(|other| keys::find(*other, name).is_some());
        let known = keys::allowed(place).map(|key| key.name);
        let is_block = BlockKind::ALL
            .into_iter()
            .find(|kind| kind.keyword().as_bytes() == name);
        let hint = if let Some(kind) = is_block {
            format!("a block begins with `{} NAME {{`", kind.keyword())
        } else if let Some(other) = elsewhere {
            format!("it belongs in {}", other.phrase())
        } else if let Some((_, why)) = NEVER_KEYS
            .iter()
            .find(|(names, _)| names.iter().any(|never| never.as_bytes() == name))
        {
            (*why).to_owned()
        } else if let Some(near) = closest(name, known) {
            format!("did you mean `{near}`?")
        } else {
            "every key is listed in the reference of lvs.cf".to_owned()
        };
        self.report
            .error(
                entry.key_span(),
                "unknown-key",
                format!("unknown key {} in {}", shown(name), place.phrase()),
            )
            .hint(hint);
    }
}

/// Each of these gives the value that is set, or the default of the key table. A key that has
/// none of the asked type is a mistake in the program: the test `every_key_has_its_meaning` sets
/// every key.
impl Section<'_> {
    /// Notes that a statement with this key, or nearly this key, could not be read.
    fn refuse(&mut self, word: &[u8]) {
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
