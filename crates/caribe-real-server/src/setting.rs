//! The three kernel settings that matter to a real server, as `/proc/sys` holds them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// Which setting. There is no way to name any other, so that a forged state file cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// Which ARP requests are answered.
    ArpIgnore,
    /// Which source addresses ARP requests may carry.
    ArpAnnounce,
    /// Whether the way back of a packet's source is checked.
    RpFilter,
}

impl Key {
    /// The largest value that the kernel documents.
    pub fn largest(self) -> u8 {
        match self {
            Key::ArpIgnore => 8,
            Key::ArpAnnounce | Key::RpFilter => 2,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Key::ArpIgnore => "arp_ignore",
            Key::ArpAnnounce => "arp_announce",
            Key::RpFilter => "rp_filter",
        }
    }
}

/// Where a setting applies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Every interface; the kernel takes the larger of this and the interface's own value.
    All,
    /// One interface.
    Interface(String),
}

/// One setting in one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Which.
    pub key: Key,
    /// Where.
    pub scope: Scope,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match &self.scope {
            Scope::All => "all",
            Scope::Interface(name) => name,
        };
        write!(f, "net.ipv4.conf.{scope}.{}", self.key.name())
    }
}

impl Setting {
    /// The file; an interface may have dots in its name, so it is not made from the dotted form.
    fn path(&self) -> String {
        let scope = match &self.scope {
            Scope::All => "all",
            Scope::Interface(name) => name,
        };
        format!("/proc/sys/net/ipv4/conf/{scope}/{}", self.key.name())
    }

    /// The value now, in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// What reading gave, and text that is no number.
    pub(crate) fn read(&self) -> io::Result<u8> {
        let text = std::fs::read_to_string(self.path())?;
        text.trim().parse().map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("`{}` is not a number from 0 to 255", text.trim()),
            )
        })
    }

    /// Sets the value.
    pub(crate) fn write(&self, value: u8) -> io::Result<()> {
        std::fs::write(self.path(), value.to_string())
    }
}

/// Values of settings, as they were read.
pub type Settings = BTreeMap<Setting, u8>;

/// The settings that matter for an interface: each key for it and for all.
pub(crate) fn relevant(interface: &str) -> Vec<Setting> {
    let scopes = [Scope::All, Scope::Interface(interface.to_owned())];
    [Key::ArpIgnore, Key::ArpAnnounce, Key::RpFilter]
        .into_iter()
        .flat_map(|key| scopes.clone().map(|scope| Setting { key, scope }))
        .collect()
}

/// The value that the kernel goes by on an interface: the larger of its own and that of all.
pub(crate) fn effective(settings: &Settings, key: Key, interface: &str) -> Option<u8> {
    let value = |scope| settings.get(&Setting { key, scope }).copied();
    let all = value(Scope::All)?;
    let own = value(Scope::Interface(interface.to_owned()))?;
    Some(all.max(own))
}
