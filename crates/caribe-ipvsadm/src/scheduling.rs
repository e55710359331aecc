//! Names of schedulers, and their flags.

use std::fmt;

/// Name of a scheduler. ipvsadm takes any: only the kernel knows which there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerName(String);

impl SchedulerName {
    /// Longest name, in bytes.
    const LONGEST: usize = 15;
    /// The schedulers of IPVS, in the order of its manual; `twos` came after ipvsadm 1.31.
    pub const KNOWN: [&'static str; 14] = [
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh",
        "twos",
    ];

    /// The name as the kernel gets it: cut silently after 15 bytes; an empty one is the default.
    pub fn new(name: &str) -> Self {
        let name = cut(name, Self::LONGEST);
        SchedulerName(if name.is_empty() { "wlc" } else { name }.to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SchedulerName {
    fn default() -> Self {
        SchedulerName::new("")
    }
}

impl fmt::Display for SchedulerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The first `longest` bytes of a name, less what would split a character.
pub(crate) fn cut(name: &str, longest: usize) -> &str {
    let mut end = name.len().min(longest);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Three flags whose meaning is the scheduler's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerFlags(u8);

/// Flags that have a name, by scheduler: first that of bit 0.
const NAMED: [(&str, [&str; 2]); 2] = [
    ("sh", ["sh-fallback", "sh-port"]),
    ("mh", ["mh-fallback", "mh-port"]),
];
const PLAIN: [&str; 3] = ["flag-1", "flag-2", "flag-3"];

/// Why a word is no flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlagError<'a> {
    /// No flag is called so.
    Unknown(&'a str),
    /// It is another scheduler's.
    Incompatible(&'a str),
}

impl SchedulerFlags {
    /// The flags of `bits`, of which the lowest three count.
    pub const fn from_bits(bits: u8) -> Self {
        SchedulerFlags(bits & 7)
    }

    /// The lowest three bits: flag-1, flag-2, flag-3.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Reads the words of `-b`, separated by commas.
    pub(crate) fn parse<'a>(
        scheduler: &SchedulerName,
        words: &'a str,
    ) -> Result<Self, FlagError<'a>> {
        let mut bits = 0;
        for word in words.split(',').filter(|word| !word.is_empty()) {
            if let Some(bit) = PLAIN.iter().position(|name| *name == word) {
                bits |= 1 << bit;
                continue;
            }
            let named = NAMED.iter().find_map(|(owner, names)| {
                let bit = names.iter().position(|name| *name == word)?;
                Some((owner, bit))
            });
            match named {
                Some((owner, bit)) if *owner == scheduler.as_str() => bits |= 1 << bit,
                Some(_) => return Err(FlagError::Incompatible(word)),
                None => return Err(FlagError::Unknown(word)),
            }
        }
        Ok(SchedulerFlags(bits))
    }

    /// The names of the flags under that scheduler, separated by commas. The third flag of sh
    /// and mh has no name and so is left out, as ipvsadm does.
    pub(crate) fn names(self, scheduler: &SchedulerName) -> String {
        let named = NAMED
            .iter()
            .find(|(owner, _)| *owner == scheduler.as_str())
            .map(|(_, names)| &names[..]);
        let names = named.unwrap_or(&PLAIN);
        let set = names.iter().enumerate();
        let set = set.filter(|(bit, _)| self.0 & 1 << bit != 0);
        let set: Vec<&str> = set.map(|(_, name)| *name).collect();
        set.join(",")
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(SchedulerName::new("").as_str(), "wlc");
        assert_eq!(
            SchedulerName::new("averyveryverylongname").as_str(),
            "averyveryverylo"
        );
        assert_eq!(
            SchedulerName::new("01234567890123é").as_str(),
            "01234567890123"
        );
    }

    #[test]
    fn the_third_flag_of_sh_has_no_name() {
        let sh = SchedulerName::new("sh");
        assert_eq!(
            SchedulerFlags::from_bits(7).names(&sh),
            "sh-fallback,sh-port"
        );
        assert_eq!(SchedulerFlags::from_bits(4).names(&sh), "");
        let rr = SchedulerName::new("rr");
        assert_eq!(SchedulerFlags::from_bits(5).names(&rr), "flag-1,flag-3");
    }
}
