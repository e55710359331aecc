//! A rule of nftables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use caribe_model::Protocol;

use crate::import::Untranslated;
use crate::import::chain::Found;
use crate::import::rule::Rule;
use crate::literal;
use crate::network::Network;
use crate::port_set::PortSet;

use super::Family;
use super::tokens::Token;

/// Words of a rule that sets no mark by which its packets may leave the chain.
const ENDING: [&str; 13] = [
    "accept",
    "drop",
    "return",
    "jump",
    "goto",
    "queue",
    "reject",
    "tproxy",
    "dnat",
    "snat",
    "redirect",
    "masquerade",
    "vmap",
];

/// What a rule does about marks, if anything.
pub(super) fn found(
    line: usize,
    text: &str,
    tokens: &[Token<'_>],
    family: Family,
) -> Option<Found> {
    let refused = |reason: String| Some(Found::Refused(Untranslated::new(line, text, reason)));
    if sets_mark(tokens) {
        return match (Parser { tokens }).rule(line, family) {
            Ok((rule, ends)) => Some(Found::Marks {
                rule,
                ends,
                text: text.to_owned(),
            }),
            Err(reason) => refused(reason),
        };
    }
    if tokens.contains(&Token::Quoted("MARK")) && tokens.iter().any(|token| token.is("xt")) {
        return refused("nft does not tell what this rule of iptables does".to_owned());
    }
    let ends = tokens
        .iter()
        .any(|token| token.word().is_some_and(|word| ENDING.contains(&word)));
    ends.then(|| Found::Ends {
        line,
        text: text.to_owned(),
    })
}

/// `mark set`, and not `ct mark set`, which marks connections.
fn sets_mark(tokens: &[Token<'_>]) -> bool {
    (1..tokens.len()).any(|at| {
        tokens[at].is("set") && tokens[at - 1].is("mark") && !(at >= 2 && tokens[at - 2].is("ct"))
    })
}

/// What is left of a rule to read.
struct Parser<'t, 'l> {
    tokens: &'t [Token<'l>],
}

/// What a rule said so far.
#[derive(Default)]
struct Said {
    mark: Option<NonZeroU32>,
    networks: Option<Vec<Network>>,
    protocols: Option<Vec<Protocol>>,
    ports: Option<PortSet>,
    comment: Option<String>,
    /// By a word that is about one family alone.
    family: Option<Family>,
    ends: bool,
}

impl<'l> Parser<'_, 'l> {
    fn rule(mut self, line: usize, family: Family) -> Result<(Rule, bool), String> {
        let mut said = Said::default();
        while let Some(word) = self.next() {
            if said.ends && word != "comment" {
                return Err(format!("`{word}` stands behind its verdict"));
            }
            self.statement(word, &mut said)?;
        }
        let rule = Rule {
            line,
            mark: said.mark.ok_or("it sets no mark")?,
            networks: match said.networks {
                Some(networks) => networks,
                None => everything(said.family.unwrap_or(family)),
            },
            protocols: match said.protocols {
                Some(protocols) => protocols.into_iter().map(Some).collect(),
                None => vec![None],
            },
            ports: said.ports,
            comment: said.comment,
        };
        Ok((rule, said.ends))
    }

    fn statement(&mut self, word: &'l str, said: &mut Said) -> Result<(), String> {
        if said.mark.is_some() && !matches!(word, "counter" | "comment" | "log" | "accept") {
            return Err(format!("`{word}` stands behind the mark"));
        }
        match word {
            "ip" | "ip6" => {
                let family = match word {
                    "ip" => Family::Ip,
                    _ => Family::Ip6,
                };
                said.family = Some(family);
                match self.next() {
                    Some("daddr") => once(&mut said.networks, self.each(network)?)?,
                    Some("protocol" | "nexthdr") => said.protocols(self.each(protocol)?)?,
                    Some("saddr") => {
                        return Err(
                            "a `mark` block does not ask for the client's address".to_owned()
                        );
                    }
                    other => return Err(unlike(word, other)),
                }
            }
            "tcp" | "udp" | "sctp" | "th" => {
                if word != "th" {
                    said.protocols(vec![protocol(word)?])?;
                }
                match self.next() {
                    Some("dport") => once(&mut said.ports, self.ports()?)?,
                    Some("sport") => {
                        return Err("a `mark` block does not ask for the client's port".to_owned());
                    }
                    other => return Err(unlike(word, other)),
                }
            }
            "meta" => match self.next() {
                Some("l4proto") => said.protocols(self.each(protocol)?)?,
                Some("nfproto") => {
                    said.family = Some(match self.next() {
                        Some("ipv4") => Family::Ip,
                        Some("ipv6") => Family::Ip6,
                        other => return Err(unlike("meta nfproto", other)),
                    });
                }
                Some("mark") => self.mark(said)?,
                Some("iif" | "iifname") => return Err(interface()),
                other => return Err(unlike(word, other)),
            },
            "mark" => self.mark(said)?,
            "iif" | "iifname" => return Err(interface()),
            "counter" => {
                for option in ["packets", "bytes"] {
                    if self.skip(option) {
                        self.next();
                    }
                }
            }
            "comment" => said.comment = self.quoted().map(str::to_owned),
            "log" => while self.log_option() {},
            "accept" if said.mark.is_some() => said.ends = true,
            other => return Err(format!("a `mark` block has nothing like `{other}`")),
        }
        Ok(())
    }

    /// Behind `mark`: `set` and a number.
    fn mark(&mut self, said: &mut Said) -> Result<(), String> {
        if !self.skip("set") {
            return Err("a `mark` block does not ask for the mark that is there".to_owned());
        }
        let written = self.next().unwrap_or_default();
        let number = literal::integer(written.as_bytes())
            .ok()
            .and_then(|number| u32::try_from(number.value).ok());
        match number.map(NonZeroU32::new) {
            Some(Some(mark)) => said.mark = Some(mark),
            Some(None) => return Err("mark 0 takes a mark away".to_owned()),
            None if self.tokens.iter().any(|token| token.is("map")) => {
                return Err("the mark comes from a map".to_owned());
            }
            None => return Err("the mark that it sets is not one number".to_owned()),
        }
        Ok(())
    }

    fn log_option(&mut self) -> bool {
        let options = [
            "prefix",
            "level",
            "group",
            "snaplen",
            "queue-threshold",
            "flags",
        ];
        let is_option = options.iter().any(|option| self.skip(option));
        if is_option {
            self.tokens = self.tokens.get(1..).unwrap_or_default();
        }
        is_option
    }

    fn ports(&mut self) -> Result<PortSet, String> {
        let operators = ["<", "<=", ">", ">="];
        if let Some(operator) = operators.into_iter().find(|it| self.skip(it)) {
            return ports_beside(operator, self.next().unwrap_or_default());
        }
        let ranges = self.each(|written| {
            literal::ports(written.as_bytes()).map_err(|_| format!("`{written}` is no port number"))
        })?;
        let joined = PortSet::new(ranges.iter().flat_map(PortSet::ranges).cloned());
        let few = joined.filter(|ports| ports.ranges().len() <= PortSet::MAX_RANGES);
        few.ok_or(format!(
            "it has over {} ranges of ports",
            PortSet::MAX_RANGES
        ))
    }

    /// One value, or each of an anonymous set.
    fn each<T>(&mut self, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
        let first = self.next().ok_or("a value is missing")?;
        if first == "." || self.tokens.first().is_some_and(|token| token.is(".")) {
            return Err("it compares several fields at once".to_owned());
        }
        match first {
            "!=" => return Err("`!=` is a negation".to_owned()),
            "<" | ">" | "<=" | ">=" | "&" | "==" => {
                return Err(format!("a `mark` block has nothing like `{first}`"));
            }
            "." => return Err("it compares several fields at once".to_owned()),
            "vmap" | "map" => return Err("it looks something up in a map".to_owned()),
            set if set.starts_with('@') => {
                return Err(format!("the named set `{set}` may change at any time"));
            }
            "{" => {}
            value => return Ok(vec![read(value)?]),
        }
        let mut values = Vec::new();
        loop {
            match self.next().ok_or("a set is not closed")? {
                "}" => return Ok(values),
                "," => {}
                value => values.push(read(value)?),
            }
        }
    }

    /// The next word; a quoted text is none.
    fn next(&mut self) -> Option<&'l str> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.word().unwrap_or("\""))
    }

    fn quoted(&mut self) -> Option<&'l str> {
        match self.tokens.split_first()? {
            (Token::Quoted(text), rest) => {
                self.tokens = rest;
                Some(text)
            }
            _ => None,
        }
    }

    /// Passes a word, if it is the next.
    fn skip(&mut self, word: &str) -> bool {
        let is_next = self.tokens.first().is_some_and(|token| token.is(word));
        if is_next {
            self.tokens = &self.tokens[1..];
        }
        is_next
    }
}

impl Said {
    /// What is said twice must be the same.
    fn protocols(&mut self, protocols: Vec<Protocol>) -> Result<(), String> {
        if let Some(before) = &self.protocols
            && *before != protocols
        {
            return Err("it asks for two protocols at once".to_owned());
        }
        self.protocols = Some(protocols);
        Ok(())
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("it asks twice for the same field".to_owned()),
    }
}

fn everything(family: Family) -> Vec<Network> {
    let v4 = Network::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let v6 = Network::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
    match family {
        Family::Ip => v4.into_iter().collect(),
        Family::Ip6 => v6.into_iter().collect(),
        Family::Inet | Family::Other => v4.into_iter().chain(v6).collect(),
    }
}

fn network(written: &str) -> Result<Network, String> {
    literal::network(written.as_bytes())
        .map(|written| written.network)
        .map_err(|_| match written.contains('-') {
            true => format!("`{written}` is a range of addresses, not a network"),
            false => format!("the destination `{written}` is no network"),
        })
}

/// Ports above or below one.
fn ports_beside(operator: &str, written: &str) -> Result<PortSet, String> {
    let no_port = || format!("`{written}` is no port number");
    let port: u16 = written.parse().map_err(|_| no_port())?;
    let range = match operator {
        "<" => port.checked_sub(1).map(|last| 0..=last),
        "<=" => Some(0..=port),
        ">" => port.checked_add(1).map(|first| first..=u16::MAX),
        _ => Some(port..=u16::MAX),
    };
    let ports = range.and_then(|range| PortSet::new([range]));
    ports.ok_or_else(|| format!("no port is `{operator} {written}`"))
}

fn protocol(written: &str) -> Result<Protocol, String> {
    match written {
        "tcp" | "6" => Ok(Protocol::Tcp),
        "udp" | "17" => Ok(Protocol::Udp),
        "sctp" | "132" => Ok(Protocol::Sctp),
        other => Err(format!("packets of protocol `{other}` are not balanced")),
    }
}

fn interface() -> String {
    "a `mark` block does not ask for the interface".to_owned()
}

fn unlike(word: &str, next: Option<&str>) -> String {
    format!(
        "a `mark` block has nothing like `{word} {}`",
        next.unwrap_or_default()
    )
}
