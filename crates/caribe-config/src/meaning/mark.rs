//! What `mark` blocks amount to.

use std::num::NonZeroU32;

use crate::config::{MarkRule, MarkedProtocols, PortSet};
use crate::keys::Place;
use crate::settings::Section;

/// The active rules, each with its section; those without mark or address are left out, which
/// [`crate::checks`] reports.
pub(super) fn rules<'s, 't>(settings: &'s Section<'t>) -> (Vec<MarkRule>, Vec<&'s Section<'t>>) {
    let blocks = settings
        .children
        .iter()
        .filter(|section| section.place == Place::Mark && section.boolean("active"));
    blocks
        .filter_map(|section| Some((rule(section)?, section)))
        .unzip()
}

fn rule(section: &Section<'_>) -> Option<MarkRule> {
    let mark = section.optional_integer("mark")?;
    Some(MarkRule {
        name: section.name().to_owned(),
        mark: u32::try_from(mark).ok().and_then(NonZeroU32::new)?, // its range fits
        network: section.network("address")?,
        protocols: match section.word("protocol") {
            Some("tcp") => MarkedProtocols::Tcp,
            Some("udp") => MarkedProtocols::Udp,
            Some("sctp") => MarkedProtocols::Sctp,
            _ => MarkedProtocols::Any,
        },
        ports: section.ports("port").unwrap_or_else(PortSet::all),
    })
}
