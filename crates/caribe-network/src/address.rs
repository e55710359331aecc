//! Addresses on interfaces: put there, taken off, listed.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo,
};

use crate::error::into_io;
use crate::{Interface, Network, NetworkError};

/// An address that is to float onto an interface of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FloatingSpec {
    /// Name of the interface, e.g. `eth0` (not of an alias such as `eth0:1`).
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Prefix length, 0 to 32 or 128.
    pub prefix: u8,
    /// Label, e.g. `eth0:1`, at most 15 bytes. Only IPv4 addresses can carry one: for IPv6 it is
    /// ignored.
    pub label: Option<String>,
}

/// What [`Network::add_address`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressOutcome {
    /// The address was put on the interface.
    Added,
    /// It was on the interface already, with the same prefix length; nothing was changed.
    AlreadyThere,
}

/// An address that an interface has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedAddress {
    /// The address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix: u8,
    /// Label, for IPv4.
    pub label: Option<String>,
    /// A further IPv4 address of a subnet that the interface already had one of.
    pub secondary: bool,
    /// An IPv6 address that is still being checked for duplicates, or failed that check: it can
    /// not be used.
    pub unusable: bool,
    /// Scope of the address: 0 is global, 253 link, 254 host.
    pub scope: u8,
}

impl Network {
    /// Puts an address on an interface.
    ///
    /// An IPv6 address goes on without duplicate address detection (a takeover cannot wait a
    /// second, and the failed director may still hold the address) and with a preferred lifetime
    /// of 0, so that the machine never chooses it as the source of its own connections.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Specification`] for a prefix length or label that cannot be,
    /// [`NetworkError::NoInterface`], or what the kernel refused.
    pub async fn add_address(&self, spec: &FloatingSpec) -> Result<AddressOutcome, NetworkError> {
        check(spec)?;
        let interface = self.interface(&spec.interface).await?;
        let mut request = self
            .handle
            .address()
            .add(interface.index, spec.address, spec.prefix);
        complete(request.message_mut(), spec);
        match request.execute().await.map_err(into_io) {
            Ok(()) => Ok(AddressOutcome::Added),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(AddressOutcome::AlreadyThere)
            }
            Err(error) => Err(NetworkError::io(action("put", "on", spec), error)),
        }
    }

    /// Takes an address off an interface; `false` when it was not there. The label plays no part.
    ///
    /// Taking off the first IPv4 address of a subnet makes Linux drop the others of that subnet
    /// too, unless `promote_secondaries` is set: they are put back.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Specification`], [`NetworkError::NoInterface`], or what the kernel
    /// refused.
    pub async fn remove_address(&self, spec: &FloatingSpec) -> Result<bool, NetworkError> {
        check(spec)?;
        let interface = self.interface(&spec.interface).await?;
        let before = self.messages(&interface).await?;
        let Some(message) = before
            .iter()
            .find(|message| is_that(message, spec.address, spec.prefix))
        else {
            return Ok(false);
        };
        let removal = self.handle.address().del(message.clone()).execute().await;
        if let Err(error) = removal.map_err(into_io) {
            return match error.kind() {
                std::io::ErrorKind::AddrNotAvailable => Ok(false),
                _ => Err(NetworkError::io(action("take", "off", spec), error)),
            };
        }
        if spec.address.is_ipv4() && spec.prefix < 32 {
            self.put_back(&interface, spec, &before).await?;
        }
        Ok(true)
    }

    /// The addresses of an interface, in the kernel's order.
    ///
    /// # Errors
    ///
    /// [`NetworkError::NoInterface`], or what the kernel refused.
    pub async fn addresses(&self, interface: &str) -> Result<Vec<AssignedAddress>, NetworkError> {
        let interface = self.interface(interface).await?;
        let messages = self.messages(&interface).await?;
        Ok(messages.iter().filter_map(assigned).collect())
    }

    async fn messages(&self, interface: &Interface) -> Result<Vec<AddressMessage>, NetworkError> {
        self.handle
            .address()
            .get()
            .set_link_index_filter(interface.index)
            .execute()
            .try_collect()
            .await
            .map_err(|error| {
                NetworkError::request(
                    format!("list the addresses of interface `{}`", interface.name),
                    error,
                )
            })
    }

    /// Restores what the kernel dropped together with the first address of its subnet.
    async fn put_back(
        &self,
        interface: &Interface,
        removed: &FloatingSpec,
        before: &[AddressMessage],
    ) -> Result<(), NetworkError> {
        let after = self.messages(interface).await?;
        let after: Vec<_> = after.iter().filter_map(assigned).collect();
        for lost in before.iter().filter_map(assigned) {
            let still_there = after
                .iter()
                .any(|other| other.address == lost.address && other.prefix == lost.prefix);
            if !lost.secondary || still_there || lost.address == removed.address {
                continue;
            }
            tracing::warn!(
                interface = %interface.name,
                address = %lost.address,
                removed = %removed.address,
                "the kernel dropped an address together with the first one of its subnet: \
                 putting it back (sysctl promote_secondaries=1 avoids this)"
            );
            self.add_address(&FloatingSpec {
                interface: interface.name.clone(),
                address: lost.address,
                prefix: lost.prefix,
                label: lost.label,
            })
            .await?;
        }
        Ok(())
    }
}

fn check(spec: &FloatingSpec) -> Result<(), NetworkError> {
    let refuse = |reason: String| {
        Err(NetworkError::Specification {
            interface: spec.interface.clone(),
            address: spec.address,
            prefix: spec.prefix,
            reason,
        })
    };
    let longest = if spec.address.is_ipv4() { 32 } else { 128 };
    if spec.prefix > longest {
        return refuse(format!("the prefix length is at most {longest}"));
    }
    if spec.address.is_unspecified() || spec.address.is_multicast() {
        return refuse("that address cannot belong to an interface".to_owned());
    }
    match &spec.label {
        // IFNAMSIZ is 16 with the final zero.
        Some(label) if label.is_empty() || label.len() > 15 || label.contains('\0') => refuse(
            format!("the label `{label}` must have 1 to 15 bytes: shorten it"),
        ),
        _ => Ok(()),
    }
}

fn complete(message: &mut AddressMessage, spec: &FloatingSpec) {
    match spec.address {
        IpAddr::V4(address) => {
            message.header.scope = match address {
                loopback if loopback.is_loopback() => AddressScope::Host,
                local if local.is_link_local() => AddressScope::Link,
                _ => AddressScope::Universe,
            };
            if let Some(label) = &spec.label {
                message
                    .attributes
                    .push(AddressAttribute::Label(label.clone()));
            }
        }
        // The kernel derives the scope of an IPv6 address itself.
        IpAddr::V6(_) => {
            let mut lifetime = CacheInfo::default();
            lifetime.ifa_preferred = 0;
            lifetime.ifa_valid = u32::MAX;
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
            message
                .attributes
                .push(AddressAttribute::CacheInfo(lifetime));
        }
    }
}

/// The interface's own address in a message: the local end, where the two ends differ.
fn local(message: &AddressMessage) -> Option<IpAddr> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => return Some(*address),
            AddressAttribute::Address(address) => found = Some(*address),
            _ => {}
        }
    }
    found
}

fn is_that(message: &AddressMessage, address: IpAddr, prefix: u8) -> bool {
    message.header.prefix_len == prefix && local(message) == Some(address)
}

fn assigned(message: &AddressMessage) -> Option<AssignedAddress> {
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    let mut label = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Flags(all) => flags = *all,
            AddressAttribute::Label(text) => label = Some(text.clone()),
            _ => {}
        }
    }
    let address = local(message)?;
    Some(AssignedAddress {
        address,
        prefix: message.header.prefix_len,
        label,
        // The kernel reuses the bit for temporary IPv6 addresses.
        secondary: address.is_ipv4() && flags.contains(AddressFlags::Secondary),
        unusable: flags.intersects(AddressFlags::Dadfailed)
            || (flags.contains(AddressFlags::Tentative)
                && !flags.contains(AddressFlags::Optimistic)),
        scope: u8::from(message.header.scope),
    })
}

fn action(verb: &str, preposition: &str, spec: &FloatingSpec) -> String {
    format!(
        "{verb} {}/{} {preposition} interface `{}`",
        spec.address, spec.prefix, spec.interface
    )
}
