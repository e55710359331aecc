//! ipvsadm's words, as popt reads them: bundled short options, values attached or apart.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use caribe_model::{Family, Protocol, ServiceKey};

use crate::names::SystemNames;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    List(List),
    Help,
    Version,
}

/// A listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    pub(super) numeric: bool,
    pub(super) service: Option<Wanted>,
    pub(super) runtime_dir: Option<PathBuf>,
}

/// The service to list, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Address(Protocol, String),
    Mark { mark: NonZeroU32, ipv6: bool },
}

/// Why words are refused, in ipvsadm's wording where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The first word is no command.
    #[error("no command")]
    NoCommand,
    #[error("{0}: unknown option")]
    Unknown(String),
    #[error(
        "`{0}` is not in this release, which only lists the table (-L): change the director's \
         configuration file and send it SIGHUP instead"
    )]
    NotYet(String),
    #[error("invalid option `{0}'")]
    SecondCommand(String),
    #[error("unexpected argument {0}")]
    Unexpected(String),
    #[error("{0}: missing argument")]
    MissingValue(String),
    #[error("multiple '{0}' options specified")]
    Repeated(&'static str),
    #[error("illegal virtual server address[:port] specified")]
    Address,
    #[error("invalid fwmark value `{0}' specified")]
    Mark(String),
    #[error("-6 used before -f\n")]
    Ipv6WithoutMark,
}

/// An option that ipvsadm has.
struct Known {
    short: Option<char>,
    long: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Help,
    Version,
    Numeric,
    /// Changes nothing in a listing that is sorted anyway.
    Ignored,
    Tcp,
    Udp,
    Mark,
    Ipv6,
    RuntimeDir,
    /// A command of ipvsadm that is not in this release.
    OtherCommand,
    /// An option of ipvsadm that is not in this release.
    Other,
}

const OPTIONS: &[Known] = {
    const fn option(short: char, long: &'static str, kind: Kind) -> Known {
        Known {
            short: Some(short),
            long,
            kind,
        }
    }
    const fn long(long: &'static str, kind: Kind) -> Known {
        Known {
            short: None,
            long,
            kind,
        }
    }
    &[
        option('L', "list", Kind::List),
        option('l', "list", Kind::List),
        option('h', "help", Kind::Help),
        option('v', "version", Kind::Version),
        option('n', "numeric", Kind::Numeric),
        option('X', "exact", Kind::Ignored),
        long("sort", Kind::Ignored),
        option('t', "tcp-service", Kind::Tcp),
        option('u', "udp-service", Kind::Udp),
        option('f', "fwmark-service", Kind::Mark),
        option('6', "ipv6", Kind::Ipv6),
        long("runtime-dir", Kind::RuntimeDir),
        option('A', "add-service", Kind::OtherCommand),
        option('E', "edit-service", Kind::OtherCommand),
        option('D', "delete-service", Kind::OtherCommand),
        option('C', "clear", Kind::OtherCommand),
        option('R', "restore", Kind::OtherCommand),
        option('S', "save", Kind::OtherCommand),
        option('a', "add-server", Kind::OtherCommand),
        option('e', "edit-server", Kind::OtherCommand),
        option('d', "delete-server", Kind::OtherCommand),
        option('Z', "zero", Kind::OtherCommand),
        long("set", Kind::OtherCommand),
        long("start-daemon", Kind::OtherCommand),
        long("stop-daemon", Kind::OtherCommand),
        long("sctp-service", Kind::Other),
        option('s', "scheduler", Kind::Other),
        option('b', "sched-flags", Kind::Other),
        option('p', "persistent", Kind::Other),
        option('M', "netmask", Kind::Other),
        long("pe", Kind::Other),
        option('o', "ops", Kind::Other),
        option('r', "real-server", Kind::Other),
        option('g', "gatewaying", Kind::Other),
        option('i', "ipip", Kind::Other),
        option('m', "masquerading", Kind::Other),
        option('w', "weight", Kind::Other),
        option('x', "u-threshold", Kind::Other),
        option('y', "l-threshold", Kind::Other),
        option('c', "connection", Kind::Other),
        long("timeout", Kind::Other),
        long("daemon", Kind::Other),
        long("stats", Kind::Other),
        long("rate", Kind::Other),
        long("thresholds", Kind::Other),
        long("persistent-conn", Kind::Other),
        long("tun-info", Kind::Other),
        long("nosort", Kind::Other),
        long("tun-type", Kind::Other),
        long("tun-port", Kind::Other),
        long("tun-nocsum", Kind::Other),
        long("tun-csum", Kind::Other),
        long("tun-remcsum", Kind::Other),
        long("mcast-interface", Kind::Other),
        long("syncid", Kind::Other),
        long("sync-maxlen", Kind::Other),
        long("mcast-group", Kind::Other),
        long("mcast-port", Kind::Other),
        long("mcast-ttl", Kind::Other),
    ]
};

/// An option as it was typed.
struct Typed {
    name: String,
    kind: Kind,
    /// What was attached to it.
    value: Option<String>,
}

/// Reads the words. None at all mean a listing.
pub(super) fn parse(words: &[String]) -> Result<Request, Refusal> {
    let mut words: VecDeque<String> = words.iter().cloned().collect();
    let mut list = List::default();
    let mut command = None;
    let mut ipv6 = false;
    // Ours, and so allowed before the command.
    while words
        .front()
        .is_some_and(|word| word.starts_with("--runtime-dir"))
    {
        let Some(typed) = next(&mut words)? else {
            break;
        };
        apply_value(typed, &mut words, &mut list)?;
    }
    if words.is_empty() {
        return Ok(Request::List(list));
    }
    while !words.is_empty() {
        let typed = match next(&mut words) {
            Ok(Some(typed)) => typed,
            Ok(None) => break,
            Err(_) if command.is_none() => return Err(Refusal::NoCommand),
            Err(refusal) => return Err(refusal),
        };
        match (typed.kind, command) {
            (Kind::List | Kind::Help | Kind::Version, None) => command = Some(typed.kind),
            (Kind::OtherCommand, None) => return Err(Refusal::NotYet(typed.name)),
            (_, None) => return Err(Refusal::NoCommand),
            (Kind::List | Kind::Help | Kind::Version | Kind::OtherCommand, Some(_)) => {
                return Err(Refusal::SecondCommand(typed.name));
            }
            (Kind::Numeric, _) if list.numeric => return Err(Refusal::Repeated("numeric")),
            (Kind::Numeric, _) => list.numeric = true,
            (Kind::Ignored, _) => {}
            (Kind::Ipv6, _) if !matches!(list.service, Some(Wanted::Mark { .. })) => {
                return Err(Refusal::Ipv6WithoutMark);
            }
            (Kind::Ipv6, _) => ipv6 = true,
            (Kind::Other, _) => return Err(Refusal::NotYet(typed.name)),
            (Kind::Tcp | Kind::Udp | Kind::Mark | Kind::RuntimeDir, _) => {
                apply_value(typed, &mut words, &mut list)?;
            }
        }
    }
    if let (true, Some(Wanted::Mark { ipv6: family, .. })) = (ipv6, &mut list.service) {
        *family = true;
    }
    Ok(match command {
        Some(Kind::Help) => Request::Help,
        Some(Kind::Version) => Request::Version,
        _ => Request::List(list),
    })
}

/// Takes the next option; what is bundled with it goes back to the front. `None` after `--`.
fn next(words: &mut VecDeque<String>) -> Result<Option<Typed>, Refusal> {
    let Some(word) = words.pop_front() else {
        return Ok(None);
    };
    if word == "--" {
        return match words.pop_front() {
            Some(word) => Err(Refusal::Unexpected(word)),
            None => Ok(None),
        };
    }
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let option = OPTIONS.iter().find(|option| option.long == name);
        let option = option.ok_or_else(|| Refusal::Unknown(format!("--{name}")))?;
        return Ok(Some(Typed {
            name: format!("--{name}"),
            kind: option.kind,
            value,
        }));
    }
    let mut letters = word.strip_prefix('-').unwrap_or_default().chars();
    let Some(letter) = letters.next() else {
        return Err(Refusal::Unexpected(word));
    };
    let option = OPTIONS.iter().find(|option| option.short == Some(letter));
    let option = option.ok_or_else(|| Refusal::Unknown(format!("-{letter}")))?;
    let rest = letters.as_str();
    let takes_value = matches!(option.kind, Kind::Tcp | Kind::Udp | Kind::Mark);
    let value = (takes_value && !rest.is_empty())
        .then(|| rest.strip_prefix('=').unwrap_or(rest).to_owned());
    if !takes_value && !rest.is_empty() {
        words.push_front(format!("-{rest}"));
    }
    Ok(Some(Typed {
        name: format!("-{letter}"),
        kind: option.kind,
        value,
    }))
}

fn apply_value(typed: Typed, words: &mut VecDeque<String>, list: &mut List) -> Result<(), Refusal> {
    let Some(value) = typed.value.or_else(|| words.pop_front()) else {
        return Err(Refusal::MissingValue(typed.name));
    };
    if typed.kind == Kind::RuntimeDir {
        list.runtime_dir = Some(PathBuf::from(value));
        return Ok(());
    }
    if list.service.is_some() {
        return Err(Refusal::Repeated("service-address"));
    }
    list.service = Some(match typed.kind {
        Kind::Tcp => Wanted::Address(Protocol::Tcp, value),
        Kind::Udp => Wanted::Address(Protocol::Udp, value),
        _ => {
            let mark = value
                .trim_start()
                .parse()
                .map_err(|_| Refusal::Mark(value))?;
            Wanted::Mark { mark, ipv6: false }
        }
    });
    Ok(())
}

impl Wanted {
    /// The identity that is meant. Hosts are numbers here; ports may be names.
    pub(super) fn key(&self, names: &SystemNames) -> Result<ServiceKey, Refusal> {
        match self {
            Wanted::Mark { mark, ipv6 } => Ok(ServiceKey::Mark {
                family: if *ipv6 { Family::V6 } else { Family::V4 },
                mark: *mark,
            }),
            Wanted::Address(protocol, text) => {
                let place = match text.parse::<SocketAddr>() {
                    Ok(place) => place,
                    Err(_) => named(*protocol, text, names).ok_or(Refusal::Address)?,
                };
                Ok(ServiceKey::Address {
                    protocol: *protocol,
                    address: place.ip(),
                    port: place.port(),
                })
            }
        }
    }
}

/// An address without a port, or with a port by name.
fn named(protocol: Protocol, text: &str, names: &SystemNames) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 0));
    }
    let (host, service) = text.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Some(SocketAddr::new(
        host.parse().ok()?,
        names.port(protocol, service)?,
    ))
}

#[cfg(test)]
mod tests;
