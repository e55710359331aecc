//! What `mark` blocks amount to.

use std::num::NonZeroU32;

use caribe_model::{MarkRule, Protocol};

use crate::config::Mark;
use crate::keys::Place;
use crate::settings::Section;

/// The active rules, each with its section; those without mark or address are left out, which
/// [`crate::checks`] reports.
pub(super) fn rules<'s, 't>(settings: &'s Section<'t>) -> (Vec<Mark>, Vec<&'s Section<'t>>) {
    let blocks = settings
        .children
        .iter()
        .filter(|section| section.place == Place::Mark && section.boolean("active"));
    blocks
        .filter_map(|section| Some((mark(section)?, section)))
        .unzip()
}

fn mark(section: &Section<'_>) -> Option<Mark> {
    let number = section.optional_integer("mark")?;
    let network = section.network("address")?;
    let rule = MarkRule {
        mark: u32::try_from(number).ok().and_then(NonZeroU32::new)?, // its range fits
        address: network.address(),
        prefix: network.length(),
        protocol: match section.word("protocol") {
            Some("tcp") => Some(Protocol::Tcp),
            Some("udp") => Some(Protocol::Udp),
            Some("sctp") => Some(Protocol::Sctp),
            _ => None,
        },
        ports: section
            .ports("port")
            .map(|ports| ports.of_a_rule())
            .unwrap_or_default(),
    };
    Some(Mark {
        name: section.name().to_owned(),
        rule,
    })
}
