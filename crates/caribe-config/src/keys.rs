//! What a key of lvs.cf is: where it stands, what values it takes, what it means and whether
//! anything acts on it. The keys themselves are the one list [`KEYS`].

mod table;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::tree::BlockKind;

pub use table::KEYS;

/// Kinds of monitors: the names of `monitor` blocks.
pub const MONITORS: [&str; 11] = [
    "tcp", "http", "https", "tls", "udp", "dns", "smtp", "ping", "script", "grpc", "agent",
];

/// A key, as the parser and the reference know it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name; case counts.
    pub name: &'static str,
    /// Where it may stand.
    pub place: Place,
    /// What values it takes.
    pub kind: Kind,
    /// What holds when it is absent.
    pub default: Fallback,
    /// Unit of a number, e.g. `seconds`; empty when there is none.
    pub unit: &'static str,
    /// What it does, for the reference.
    pub meaning: &'static str,
    /// Who brought it.
    pub origin: Origin,
    /// Whether anything acts on it.
    pub effect: Effect,
    /// In a `monitor` block: the kinds of monitors that have it; all when there is none.
    pub monitors: &'static [&'static str],
    /// It may stand several times, and each counts.
    pub repeatable: bool,
    /// Values (besides the default) that ask for nothing, so that nobody need be told that
    /// nothing acts on them.
    pub neutral: &'static [&'static str],
}

/// Where a key may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Outside all blocks.
    Global,
    /// In a `virtual` block.
    Virtual,
    /// In a `server` block.
    Server,
    /// In a `failover` block; Piranha's keys of a `virtual` block may stand there too.
    Failover,
    /// In a `mark` block.
    Mark,
    /// In a `monitor` block.
    Monitor,
}

impl Place {
    /// All places, in the order of the reference.
    pub const ALL: [Place; 6] = [
        Place::Global,
        Place::Virtual,
        Place::Server,
        Place::Monitor,
        Place::Mark,
        Place::Failover,
    ];

    /// For messages: "a `virtual` block".
    pub(crate) fn phrase(self) -> &'static str {
        match self {
            Place::Global => "the global part of the file, outside all blocks",
            Place::Virtual => "a `virtual` block",
            Place::Server => "a `server` block",
            Place::Failover => "a `failover` block",
            Place::Mark => "a `mark` block",
            Place::Monitor => "a `monitor` block",
        }
    }
}

impl From<BlockKind> for Place {
    fn from(kind: BlockKind) -> Self {
        match kind {
            BlockKind::Virtual => Place::Virtual,
            BlockKind::Failover => Place::Failover,
            BlockKind::Server => Place::Server,
            BlockKind::Mark => Place::Mark,
            BlockKind::Monitor => Place::Monitor,
        }
    }
}

/// What values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number as in C: decimal, `0x` hexadecimal, or octal with a leading 0.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A limit of TCP's maximum segment size, `auto`, or 0 for none.
    Mss,
    /// 0 or 1.
    Boolean,
    /// A port number, or the name of a service.
    Port {
        /// Smallest number.
        min: u16,
        /// Old Piranha takes names here too.
        piranha_takes_names: bool,
    },
    /// An address, or a host name that is resolved once.
    Host,
    /// An address and never a name.
    Address,
    /// A [`Kind::Host`] and the interface or alias that carries it.
    Floating,
    /// A dotted IPv4 netmask, or (Caribe) a prefix length.
    Netmask,
    /// An address, or a network as `ADDRESS/LENGTH`.
    Network,
    /// Port numbers and ranges of them, separated by commas.
    Ports,
    /// Name of an interface.
    Interface,
    /// Names of interfaces.
    Interfaces,
    /// A text, bare or in quotation marks.
    Text,
    /// A text in which backslash sequences stand for other bytes.
    EscapedText,
    /// The same, and `\xHH` for any byte.
    Bytes,
    /// A time: seconds, with a fraction if need be, or milliseconds with `ms`.
    Time,
    /// A time, or one of these words.
    TimeOr(&'static [&'static str]),
    /// Status codes and ranges of them, separated by commas.
    Statuses,
    /// `Name: value`.
    Header,
    /// A regular expression.
    Regex,
    /// A program with its arguments.
    Command,
    /// The absolute path of a file.
    File,
    /// Path and query of a URL.
    UrlPath,
    /// The name of a host or domain, which is not looked up.
    Name,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One or more of these words.
    Words(&'static [&'static str]),
    /// The name of a scheduler.
    Scheduler,
    /// Words between `[` and `]`; nobody reads them.
    List,
    /// Anything at all: nobody reads it.
    Anything,
}

/// What holds when a key is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This value, as it would be written.
    Value(&'static str),
    /// Something that depends on other keys, in words.
    Derived(&'static str),
    /// Nothing: the key is unset.
    Unset,
    /// The key must be there.
    Required,
}

/// Who brought a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Known to Piranha 0.8.6.
    Piranha,
    /// Caribe's own: old Piranha refuses it.
    Caribe,
    /// Written by some of Piranha's tools or manuals, but refused by its daemons.
    Misnomer {
        /// What Caribe does with it.
        instead: &'static str,
    },
}

/// Whether anything acts on a key in this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Yes.
    Acts,
    /// It informs people, and no program was ever meant to act on it.
    Informs,
    /// Not yet: it is kept.
    NotYet(Topic),
}

/// What keys that nothing acts on are about: they are named together, once in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Heartbeat, takeover, connection sync.
    Redundancy,
    /// Keys of Piranha's own parts, which Caribe does not have.
    Obsolete,
}

impl Topic {
    /// What not acting on the keys amounts to.
    pub(crate) fn consequence(self) -> &'static str {
        match self {
            Topic::Redundancy => {
                "they are kept; this director runs alone, without heartbeat, takeover or \
                 connection sync"
            }
            Topic::Obsolete => "Caribe has no such part; the keys can be removed",
        }
    }
}

/// The key of this name that may stand at a place.
pub(crate) fn find(place: Place, name: &[u8]) -> Option<&'static Key> {
    type Index = HashMap<(Place, &'static [u8]), &'static Key>;
    /// A file of a hundred thousand servers asks half a million times.
    static INDEX: LazyLock<Index> = LazyLock::new(|| {
        let places = Place::ALL.into_iter();
        places
            .flat_map(|place| allowed(place).map(move |key| ((place, key.name.as_bytes()), key)))
            .collect()
    });
    INDEX.get(&(place, name)).copied()
}

/// All keys that may stand at a place.
pub(crate) fn allowed(place: Place) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| {
        key.place == place
            || (place == Place::Failover
                && key.place == Place::Virtual
                && key.origin == Origin::Piranha)
    })
}

impl Key {
    const fn new(place: Place, name: &'static str, kind: Kind) -> Self {
        Key {
            name,
            place,
            kind,
            default: Fallback::Unset,
            unit: "",
            meaning: "",
            origin: Origin::Piranha,
            effect: Effect::Acts,
            monitors: &[],
            repeatable: false,
            neutral: &[],
        }
    }

    const fn default(mut self, value: &'static str) -> Self {
        self.default = Fallback::Value(value);
        self
    }

    const fn fallback(mut self, fallback: Fallback) -> Self {
        self.default = fallback;
        self
    }

    const fn seconds(self) -> Self {
        self.unit("seconds")
    }

    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    const fn meaning(mut self, meaning: &'static str) -> Self {
        self.meaning = meaning;
        self
    }

    const fn caribe(mut self) -> Self {
        self.origin = Origin::Caribe;
        self
    }

    const fn misnomer(mut self, instead: &'static str) -> Self {
        self.origin = Origin::Misnomer { instead };
        self.effect = Effect::Informs;
        self
    }

    const fn informs(mut self) -> Self {
        self.effect = Effect::Informs;
        self
    }

    const fn not_yet(mut self, topic: Topic) -> Self {
        self.effect = Effect::NotYet(topic);
        self
    }

    const fn monitors(mut self, kinds: &'static [&'static str]) -> Self {
        self.monitors = kinds;
        self
    }

    const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    const fn neutral(mut self, values: &'static [&'static str]) -> Self {
        self.neutral = values;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_key_is_there_twice_and_every_key_says_what_it_means() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            assert!(seen.insert((key.place, key.name)), "{} is twice", key.name);
            assert!(!key.meaning.is_empty(), "{} has no meaning", key.name);
        }
    }

    #[test]
    fn a_failover_block_takes_the_keys_of_a_virtual_block_but_not_caribes() {
        assert!(find(Place::Failover, b"start_cmd").is_some());
        assert!(find(Place::Failover, b"forward").is_none());
        assert!(find(Place::Server, b"scheduler").is_none());
    }
}
