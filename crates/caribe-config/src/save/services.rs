//! Services: those that are there are changed, others are added.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use caribe_model::{Service, ServiceKey};

use crate::config::{FloatingAddress, VirtualService};
use crate::save::layout::BlockPlace;
use crate::tree::{BlockKind, EditError};

use super::attributes;
use super::layout::Layout;

impl Layout {
    /// Adds an empty, active block for a service; or tells why none can stand for it.
    pub(super) fn add(
        &mut self,
        key: &ServiceKey,
        interface: Option<&str>,
    ) -> Result<Result<Vec<usize>, &'static str>, EditError> {
        let address = match key {
            ServiceKey::Address { address, .. } => Some(*address),
            ServiceKey::Mark { .. } => self.address_of_the_mark(key),
        };
        let Some(address) = address else {
            return Ok(Err(
                "lvs.cf wants a VIP for every service: add a `mark` block for this mark whose \
                 `address` is a single one",
            ));
        };
        let Some(floating) = self.floating(address, interface) else {
            return Ok(Err(
                "lvs.cf wants an interface for every VIP: name the one that carries it",
            ));
        };
        let name = self.free_name(key);
        let mut meant = VirtualService::new(&name, floating);
        meant.active = true;
        let block = self
            .document
            .body_mut()
            .add_block(BlockKind::Virtual, &name)?;
        block.set("active", &["1"])?;
        let label = meant.address.label.clone();
        block.set("address", &[&address.to_string(), &label])?;
        match key {
            ServiceKey::Address { protocol, port, .. } => {
                meant.protocol = *protocol;
                meant.port = *port;
                block.set("port", &[&port.to_string()])?;
                block.set("protocol", &[&protocol.to_string().to_lowercase()])?;
            }
            ServiceKey::Mark { mark, .. } => {
                meant.mark = Some(*mark);
                meant.port = 0;
                block.set("fwmark", &[&mark.to_string()])?;
                block.set("port", &["0"])?;
            }
        }
        // What holds for every service that says nothing else.
        meant.policy = self.config.policy;
        let position = self.document.body().blocks().count() - 1; // it was just added
        self.config.services.push(Arc::new(meant));
        self.places.push(BlockPlace {
            block: position,
            servers: Vec::new(),
        });
        Ok(Ok(vec![self.config.services.len() - 1]))
    }

    /// Makes the blocks say what the service is.
    pub(super) fn write(&mut self, blocks: &[usize], service: &Service) -> Result<(), EditError> {
        let Some(first) = blocks.first().copied() else {
            return Ok(());
        };
        let network = self.config.network;
        let meant = self.config.services[first].clone();
        let block = self.block(first)?;
        if !meant.active {
            block.set("active", &["1"])?;
        }
        attributes::write(block, &meant, service)?;
        self.write_servers(blocks, network, service)
    }

    /// The VIP of a rule that gives this mark, if it is a single address.
    fn address_of_the_mark(&self, key: &ServiceKey) -> Option<IpAddr> {
        let ServiceKey::Mark { family, mark } = key else {
            return None;
        };
        let rules = self.config.marks.iter().map(|mark| &mark.rule);
        let mut single = rules.filter(|rule| {
            let full = if rule.address.is_ipv4() { 32 } else { 128 };
            rule.mark == *mark && rule.family() == *family && rule.prefix == full
        });
        single.next().map(|rule| rule.address)
    }

    /// How other services have the VIP, else on the interface that was named.
    fn floating(&self, address: IpAddr, interface: Option<&str>) -> Option<FloatingAddress> {
        let known = self.config.services.iter().map(|service| &service.address);
        let mut known = known.filter(|floating| floating.address == address);
        if let Some(floating) = known.next() {
            return Some(floating.clone());
        }
        let label = interface?;
        Some(FloatingAddress {
            address,
            interface: label.split(':').next().unwrap_or_default().to_owned(),
            label: label.to_owned(),
            prefix: if address.is_ipv4() { 32 } else { 128 },
        })
    }

    fn free_name(&self, key: &ServiceKey) -> String {
        let plain = match key {
            ServiceKey::Address {
                protocol,
                address,
                port,
            } => format!("{}_{address}_{port}", protocol.to_string().to_lowercase()),
            ServiceKey::Mark { mark, .. } => format!("mark_{mark}"),
        };
        let taken: HashSet<&str> = self
            .config
            .services
            .iter()
            .map(|service| service.name.as_str())
            .collect();
        free(&plain, &taken)
    }
}

/// The name, or the name with the first number that makes it free.
pub(super) fn free(plain: &str, taken: &HashSet<&str>) -> String {
    if !taken.contains(plain) {
        return plain.to_owned();
    }
    let numbered = (2_u32..).map(|number| format!("{plain}_{number}"));
    let mut free = numbered.filter(|name| !taken.contains(name.as_str()));
    free.next().unwrap_or_default() // there are more numbers than names
}
