//! Addresses, netmasks and interfaces as values.

use std::net::IpAddr;

use crate::diagnostic::shown;
use crate::keys::Key;
use crate::literal::{self, Host, Mask, NotAMask, interface_fault};
use crate::network::Network;
use crate::source::Span;
use crate::tree::Word;
use crate::value::{FloatingValue, Value};

use super::Reader;

impl Reader<'_, '_> {
    pub(super) fn host(&mut self, key: &Key, word: &Word<'_>) -> Option<IpAddr> {
        let address = match literal::host(&word.text()) {
            Ok(Host::Address(address)) => address,
            Ok(Host::Name(name)) => self.resolved(key, word, name)?,
            Err(hint) => {
                self.refuse(key, word, "bad-address", Some(hint.to_owned()));
                return None;
            }
        };
        self.family(word, address);
        Some(address)
    }

    pub(super) fn address(&mut self, key: &Key, word: &Word<'_>) -> Option<IpAddr> {
        let hint = match literal::host(&word.text()) {
            Ok(Host::Address(address)) => {
                self.family(word, address);
                return Some(address);
            }
            Ok(Host::Name(_)) => "a host name cannot be used here: write its address",
            Err(hint) => hint,
        };
        self.refuse(key, word, "bad-address", Some(hint.to_owned()));
        None
    }

    pub(super) fn network(&mut self, key: &Key, word: &Word<'_>) -> Option<Network> {
        let written = match literal::network(&word.text()) {
            Ok(written) => written,
            Err(hint) => {
                self.refuse(key, word, "bad-network", Some(hint.to_owned()));
                return None;
            }
        };
        if written.has_host_bits {
            self.report
                .warning(
                    word.span(),
                    "host-bits",
                    format!(
                        "{} has bits behind its prefix: it stands for {}",
                        shown(word.raw()),
                        written.network
                    ),
                )
                .hint(format!("write `{}`, or the address alone", written.network));
        }
        Some(written.network)
    }

    fn family(&mut self, word: &Word<'_>, address: IpAddr) {
        if address.is_ipv6() {
            self.report
                .strict(
                    word.span(),
                    "strict-ipv6",
                    format!("IPv6 address {address}: old Piranha knows IPv4 alone"),
                )
                .hint("leave it out of a file that old Piranha must read");
        }
    }

    fn resolved(&mut self, key: &Key, word: &Word<'_>, name: String) -> Option<IpAddr> {
        let resolver = self.resolver;
        let answer = self
            .hosts
            .entry(name)
            .or_insert_with_key(|name| resolver.host(name).map_err(|error| error.to_string()));
        match answer {
            Ok(address) => Some(*address),
            Err(reason) => {
                let message = format!(
                    "the host name {} of `{}` has no address: {reason}",
                    shown(word.raw()),
                    key.name
                );
                self.report
                    .error(word.span(), "unresolved-host", message)
                    .hint("correct the name, or write the address, which needs no name server");
                None
            }
        }
    }

    pub(super) fn mask(&mut self, key: &Key, word: &Word<'_>) -> Option<Value> {
        match literal::mask(&word.text()) {
            Ok(mask) => {
                if let Mask::Length(length) = mask {
                    self.report
                        .strict(
                            word.span(),
                            "strict-prefix-length",
                            format!("prefix length {length}: old Piranha takes dotted netmasks"),
                        )
                        .hint("write it as in 255.255.255.0");
                }
                Some(Value::Mask(mask))
            }
            Err(NotAMask::NotContiguous) => {
                self.report
                    .error(
                        word.span(),
                        "bad-netmask",
                        format!(
                            "the netmask {} of `{}` is not contiguous",
                            shown(word.raw()),
                            key.name
                        ),
                    )
                    .hint("all 1 bits of a netmask stand before its 0 bits, as in 255.255.255.0");
                None
            }
            Err(NotAMask::Malformed) => {
                let hint = match word.raw().first() {
                    Some(b'/') => Some("write the length without `/`".to_owned()),
                    _ => None,
                };
                self.refuse(key, word, "bad-netmask", hint);
                None
            }
        }
    }

    pub(super) fn floating(
        &mut self,
        key: &Key,
        address: &Word<'_>,
        rest: &[Word<'_>],
    ) -> Option<Value> {
        let label = match rest {
            [label] => Some(label),
            [] => {
                let end = address.span().end;
                self.report
                    .error(
                        Span::new(end, end),
                        "missing-value",
                        format!("no interface behind the address of `{}`", key.name),
                    )
                    .hint(format!(
                        "write `{} = {} eth0:1`, with the interface that carries it",
                        key.name,
                        shown(address.raw()).trim_matches('`')
                    ));
                None
            }
            [_, extra @ ..] => {
                let span = extra[0].span().to(extra[extra.len() - 1].span()); // not empty
                self.unexpected(key, span, address, &extra[0]);
                None
            }
        };
        let address = self.host(key, address);
        let label = label?;
        self.interface(key, label, true)?;
        Some(Value::Floating(FloatingValue {
            address: address?,
            label: self.utf8(key, label)?,
            label_span: label.span(),
        }))
    }

    pub(super) fn interfaces(&mut self, key: &Key, words: &[Word<'_>]) -> Option<Value> {
        let mut names: Vec<String> = Vec::new();
        let mut legal = true;
        for word in words {
            let name = self
                .interface(key, word, false)
                .and_then(|()| self.utf8(key, word));
            match name {
                None => legal = false,
                Some(name) if names.contains(&name) => self
                    .report
                    .warning(
                        word.span(),
                        "repeated-interface",
                        format!("interface {} is named twice", shown(word.raw())),
                    )
                    .hint("remove one of the two"),
                Some(name) => names.push(name),
            }
        }
        legal.then_some(Value::Interfaces(names))
    }

    pub(super) fn interface(&mut self, key: &Key, word: &Word<'_>, alias: bool) -> Option<()> {
        let Some(fault) = interface_fault(&word.text(), alias) else {
            return Some(());
        };
        self.report
            .error(
                word.span(),
                "bad-interface",
                format!(
                    "{} of `{}` cannot be the name of an interface",
                    shown(word.raw()),
                    key.name
                ),
            )
            .hint(fault);
        None
    }
}
