//! Tree to typed settings: every statement is looked up in the key table and its values are read
//! by the key's [`Kind`](crate::keys::Kind). What the settings amount to is found by
//! [`crate::meaning`].

mod read;
mod read_addresses;
mod read_monitors;
mod read_words;
mod section;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use crate::diagnostic::{Report, shown};
use crate::keys::{self, Key, Origin, Place};
use crate::resemblance::closest;
use crate::resolver::Resolver;
use crate::tree::{Block, BlockKind, Body, Document, Entry};

pub(crate) use read::expectation;
pub(crate) use section::{Assigned, Section};

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
