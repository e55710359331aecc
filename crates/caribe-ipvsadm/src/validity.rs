//! Which option goes with which command, and with which tunnel.

use std::collections::BTreeSet;

use crate::Refusal;
use crate::options::Counted::{self, *};
use crate::options::Verb;

/// What a command makes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Illegal,
    Optional,
    Required,
    /// One of several, of which at most one may be given.
    Exclusive,
}

fn rule(verb: Verb, option: Counted) -> Rule {
    use Rule::{Exclusive, Illegal, Optional, Required};
    match (verb, option) {
        (
            Verb::AddService
            | Verb::EditService
            | Verb::DeleteService
            | Verb::AddServer
            | Verb::EditServer
            | Verb::DeleteServer,
            ServiceAddress,
        )
        | (Verb::AddServer | Verb::EditServer | Verb::DeleteServer, RealServer) => Required,
        (
            Verb::AddService | Verb::EditService,
            Scheduler | Persistent | Netmask | Ops | Engine | SchedulerFlags,
        )
        | (
            Verb::AddServer | Verb::EditServer,
            ForwardingMethod | Weight | UpperThreshold | LowerThreshold | TunnelType | TunnelPort
            | TunnelNocsum | TunnelCsum | TunnelRemcsum,
        )
        | (
            Verb::List,
            Numeric
            | Stats
            | Rate
            | Thresholds
            | PersistentConnections
            | Nosort
            | SyncId
            | Exact
            | TunnelInfo,
        )
        | (
            Verb::StartDaemon,
            MulticastInterface | SyncId | MulticastGroup | MulticastPort | MulticastTtl
            | SyncMaxlen,
        )
        | (Verb::StopDaemon, SyncId)
        | (Verb::Save, Numeric)
        | (Verb::Zero, ServiceAddress) => Optional,
        (Verb::List, Connection | ServiceAddress | Timeout | Daemon) => Exclusive,
        _ => Illegal,
    }
}

/// Checks the options of a command; the first that breaks a rule counts.
pub(crate) fn of_command(verb: Verb, given: &BTreeSet<Counted>) -> Result<(), Refusal> {
    let command = verb.name();
    let mut exclusive: Option<Counted> = None;
    for option in Counted::ALL {
        let name = option.name();
        match (rule(verb, option), given.contains(&option)) {
            (Rule::Required, false) => {
                return Err(Refusal::Missing {
                    option: name,
                    command,
                });
            }
            (Rule::Illegal, true) => {
                return Err(Refusal::Illegal {
                    option: name,
                    command,
                });
            }
            (Rule::Exclusive, true) => {
                if let Some(earlier) = exclusive.replace(option) {
                    return Err(Refusal::Conflict {
                        option: name,
                        earlier: earlier.name(),
                        command,
                    });
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A type of tunnel, as its option names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum TunnelKind {
    #[default]
    Ipip,
    Gue,
    Gre,
}

impl TunnelKind {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "ipip" => Some(TunnelKind::Ipip),
            "gue" => Some(TunnelKind::Gue),
            "gre" => Some(TunnelKind::Gre),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            TunnelKind::Ipip => "ipip",
            TunnelKind::Gue => "gue",
            TunnelKind::Gre => "gre",
        }
    }
}

/// Options that say how to wrap packets.
pub(crate) const TUNNEL_OPTIONS: [Counted; 5] = [
    TunnelType,
    TunnelPort,
    TunnelNocsum,
    TunnelCsum,
    TunnelRemcsum,
];

/// Checks the options of a tunnel.
pub(crate) fn of_tunnel(kind: TunnelKind, given: &BTreeSet<Counted>) -> Result<(), Refusal> {
    use Rule::{Exclusive, Illegal, Optional, Required};
    let tunnel = kind.name();
    let mut exclusive: Option<Counted> = None;
    for option in TUNNEL_OPTIONS {
        let name = option.name();
        let rule = match (kind, option) {
            (_, TunnelType) => Optional,
            (TunnelKind::Gue, TunnelPort) => Required,
            (TunnelKind::Gue, _) | (TunnelKind::Gre, TunnelNocsum | TunnelCsum) => Exclusive,
            _ => Illegal,
        };
        match (rule, given.contains(&option)) {
            (Required, false) => {
                return Err(Refusal::TunnelMissing {
                    option: name,
                    tunnel,
                });
            }
            (Illegal, true) => {
                return Err(Refusal::TunnelIllegal {
                    option: name,
                    tunnel,
                });
            }
            (Exclusive, true) => {
                if let Some(earlier) = exclusive.replace(option) {
                    return Err(Refusal::TunnelConflict {
                        option: name,
                        earlier: earlier.name(),
                        tunnel,
                    });
                }
            }
            _ => {}
        }
    }
    Ok(())
}
