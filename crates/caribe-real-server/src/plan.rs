//! From what is asked and what there is to the steps between.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::arp_rules::ArpRule;
use crate::facts::Facts;
use crate::piece::{Piece, is_fit, pieces};
use crate::refusal::{Refusal, refusals};
use crate::request::{Method, Request, prefix};
use crate::setting::{Key, Scope, Setting};

/// A step towards a real server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Give a setting another value.
    Set {
        /// Which.
        setting: Setting,
        /// Its value now.
        from: u8,
        /// Its value then.
        to: u8,
    },
    /// Make our nftables table hold exactly these rules.
    ArpRules {
        /// Those that it holds now; `None` when there is no table.
        before: Option<Vec<ArpRule>>,
        /// Those that it is to hold.
        rules: Vec<ArpRule>,
    },
    /// Load the decapsulating program and put it on the interface.
    Attach {
        /// The interface.
        interface: String,
    },
    /// Have the program unwrap packets for a VIP.
    Decapsulate {
        /// The VIP.
        vip: IpAddr,
    },
    /// Put a VIP on an interface.
    AddAddress {
        /// The interface.
        interface: String,
        /// The VIP.
        vip: IpAddr,
    },
}

/// The way back from an [`Action`]; taking it twice does no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Undo {
    /// Give a setting its former value, unless somebody changed it since.
    Restore {
        /// Which.
        setting: Setting,
        /// Its former value.
        former: u8,
        /// The value that we gave it.
        given: u8,
    },
    /// Give our nftables table its former rules, or remove it.
    ArpRules {
        /// The former rules; `None` when there was no table.
        before: Option<Vec<ArpRule>>,
    },
    /// Take the decapsulating program off and unpin it.
    Detach,
    /// Have the program forget a VIP.
    Forget {
        /// The VIP.
        vip: IpAddr,
    },
    /// Take a VIP off an interface.
    RemoveAddress {
        /// The interface.
        interface: String,
        /// The VIP.
        vip: IpAddr,
    },
}

impl Action {
    /// The way back.
    pub fn undo(&self) -> Undo {
        match self.clone() {
            Action::Set { setting, from, to } => Undo::Restore {
                setting,
                former: from,
                given: to,
            },
            Action::ArpRules { before, .. } => Undo::ArpRules { before },
            Action::Attach { .. } => Undo::Detach,
            Action::Decapsulate { vip } => Undo::Forget { vip },
            Action::AddAddress { interface, vip } => Undo::RemoveAddress { interface, vip },
        }
    }
}

/// The steps that put everything in place that is not, addresses last: an address that came
/// before its silence would be answered for in between.
///
/// # Errors
///
/// Everything that speaks against the request.
pub fn plan(request: &Request, facts: &Facts) -> Result<Vec<Action>, Vec<Refusal>> {
    let refusals = refusals(request, facts);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut missing: Vec<Piece> = Vec::new();
    for (vip, method) in &request.vips {
        for piece in pieces(*vip, *method, request, facts) {
            if !piece.examine(request, facts).in_place && !missing.contains(&piece) {
                missing.push(piece);
            }
        }
    }
    let mut actions = silence(&missing, request, facts);
    actions.extend(missing.iter().filter_map(|piece| match piece {
        Piece::Decapsulator => Some(Action::Attach {
            interface: request.interface.clone(),
        }),
        _ => None,
    }));
    // A program that is loaded anew knows no VIP, whatever a stale pin says.
    let anew = missing.contains(&Piece::Decapsulator);
    for (vip, method) in &request.vips {
        let unknown = anew || missing.contains(&Piece::Decapsulates { vip: *vip });
        if *method == Method::Tunnel && unknown {
            actions.push(Action::Decapsulate { vip: *vip });
        }
    }
    actions.extend(missing.into_iter().filter_map(|piece| match piece {
        Piece::Address { interface, vip } => Some(Action::AddAddress { interface, vip }),
        _ => None,
    }));
    Ok(actions)
}

fn silence(missing: &[Piece], request: &Request, facts: &Facts) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut rules = Vec::new();
    for piece in missing {
        match piece {
            Piece::Setting { key } => actions.extend(raise(*key, request, facts)),
            Piece::ArpRule(rule) => rules.push(*rule),
            _ => {}
        }
    }
    if !rules.is_empty() {
        let before = facts.arp_rules.clone();
        // What the table holds stays, but for a mask by an address that is no longer ours.
        let kept = |rule: &&ArpRule| match **rule {
            ArpRule::Ignore { .. } => true,
            ArpRule::Mask { vip, .. } => !rules
                .iter()
                .any(|new| matches!(new, ArpRule::Mask { vip: other, .. } if *other == vip)),
        };
        let kept: Vec<ArpRule> = before.iter().flatten().filter(kept).copied().collect();
        rules.extend(kept);
        rules.sort_unstable();
        rules.dedup();
        actions.push(Action::ArpRules { before, rules });
    }
    actions
}

fn raise(key: Key, request: &Request, facts: &Facts) -> Vec<Action> {
    let own = Scope::Interface(request.interface.clone());
    let (scopes, to) = match key {
        // The larger of the two values counts, so both must be fit.
        Key::ArpIgnore => (vec![Scope::All, own], 1),
        Key::ArpAnnounce => (vec![Scope::All, own], 2),
        // Loosening one interface does not touch the others.
        Key::RpFilter => (vec![own], 2),
    };
    let settings = scopes.into_iter().map(|scope| Setting { key, scope });
    settings
        .filter_map(|setting| {
            let from = *facts.settings.get(&setting)?;
            let needed = key == Key::RpFilter || !is_fit(key, from);
            needed.then_some(Action::Set { setting, from, to })
        })
        .collect()
}

/// The prefix length and the interface of an address that `up` may have put somewhere.
pub(crate) fn floating(interface: &str, vip: IpAddr) -> caribe_network::FloatingSpec {
    caribe_network::FloatingSpec {
        interface: interface.to_owned(),
        address: vip,
        prefix: prefix(vip),
        label: None,
    }
}

#[cfg(test)]
mod tests;
