//! A rule that sets a mark, and the blocks that say the same.

use std::collections::HashMap;
use std::fmt::Write;
use std::num::NonZeroU32;

use caribe_model::Protocol;

use crate::diagnostic::is_steering;
use crate::network::Network;
use crate::port_set::PortSet;

/// A rule whose packets a `mark` block, or several, can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// Its line in the text, from 1.
    pub(super) line: usize,
    pub(super) mark: NonZeroU32,
    /// Destination addresses; each makes a block.
    pub(super) networks: Vec<Network>,
    /// Protocols, `None` for any; each makes a block.
    pub(super) protocols: Vec<Option<Protocol>>,
    /// Destination ports; `None` for all.
    pub(super) ports: Option<PortSet>,
    pub(super) comment: Option<String>,
}

impl Rule {
    /// Gives some packet another mark than the other does.
    pub(super) fn contradicts(&self, other: &Rule) -> bool {
        let networks = || {
            let mut own = self.networks.iter();
            own.any(|own| other.networks.iter().any(|other| own.meets(*other)))
        };
        let same = |own: &Option<Protocol>, other: &Option<Protocol>| {
            own.is_none() || other.is_none() || own == other
        };
        let protocols = || {
            let mut own = self.protocols.iter();
            own.any(|own| other.protocols.iter().any(|other| same(own, other)))
        };
        let ports = || match (&self.ports, &other.ports) {
            (Some(own), Some(other)) => own.meets(other),
            _ => true,
        };
        self.mark != other.mark && networks() && protocols() && ports()
    }
}

/// A block, made from one rule or from several that stand one behind the other and differ in
/// their ports.
struct Block {
    lines: Vec<usize>,
    mark: NonZeroU32,
    network: Network,
    protocol: Option<Protocol>,
    ports: Option<PortSet>,
    comment: Option<String>,
}

/// The text of the blocks, and their number.
pub(super) fn blocks(rules: &[Rule]) -> (String, usize) {
    let mut blocks: Vec<Block> = Vec::new();
    for rule in rules {
        for network in &rule.networks {
            for protocol in &rule.protocols {
                let block = Block {
                    lines: vec![rule.line],
                    mark: rule.mark,
                    network: *network,
                    protocol: *protocol,
                    ports: rule.ports.clone(),
                    comment: rule.comment.clone(),
                };
                match blocks.last_mut().and_then(|last| last.join(&block)) {
                    Some(()) => {}
                    None => blocks.push(block),
                }
            }
        }
    }
    let mut names = HashMap::new();
    let mut text = String::new();
    for block in &blocks {
        block.write(&mut names, &mut text);
    }
    (text, blocks.len())
}

impl Block {
    /// Takes the other's ports in, if they are all that differs.
    fn join(&mut self, other: &Block) -> Option<()> {
        let same = self.mark == other.mark
            && self.network == other.network
            && self.protocol == other.protocol
            && self.comment == other.comment;
        let own = self.ports.as_ref().filter(|_| same)?;
        let ranges = own.ranges().iter().chain(other.ports.as_ref()?.ranges());
        let joined = PortSet::new(ranges.cloned())?;
        if joined.ranges().len() > PortSet::MAX_RANGES {
            return None;
        }
        self.ports = Some(joined);
        self.lines.extend(&other.lines);
        Some(())
    }

    fn write(&self, names: &mut HashMap<u32, usize>, text: &mut String) {
        let lines: Vec<String> = self.lines.iter().map(ToString::to_string).collect();
        let word = match lines.len() {
            1 => "line",
            _ => "lines",
        };
        let lines = lines.join(", ");
        let number = names.entry(self.mark.get()).or_default();
        *number += 1;
        let name = match number {
            1 => format!("mark_{}", self.mark),
            number => format!("mark_{}_{number}", self.mark),
        };
        // Writing to a string cannot fail.
        let _ = match &self.comment {
            Some(comment) => writeln!(text, "# {word} {lines}: {}", harmless(comment)),
            None => writeln!(text, "# {word} {lines}"),
        };
        let _ = writeln!(text, "mark {name} {{");
        let _ = writeln!(text, "     active = 1");
        let _ = writeln!(text, "     mark = {}", self.mark);
        let _ = writeln!(text, "     address = {}", self.network);
        if let Some(protocol) = self.protocol {
            let _ = writeln!(
                text,
                "     protocol = {}",
                protocol.to_string().to_lowercase()
            );
        }
        if let Some(ports) = &self.ports {
            let _ = writeln!(text, "     port = {ports}");
        }
        text.push_str("}\n");
    }
}

/// A comment that stays one.
fn harmless(comment: &str) -> String {
    comment
        .chars()
        .map(|character| match is_steering(character) {
            true => char::REPLACEMENT_CHARACTER,
            false => character,
        })
        .collect()
}
