//! Real servers: those that are there are changed, others are added or made inactive.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use caribe_model::{Encapsulation, Forwarding, GueChecksum, Server, ServerKey, Service};

use crate::config::{RealServer, VirtualService};
use crate::tree::{Block, BlockKind, EditError};

use super::layout::Layout;
use super::services::free;

impl Layout {
    /// Makes the blocks of a service hold these servers.
    pub(super) fn write_servers(
        &mut self,
        blocks: &[usize],
        network: Forwarding,
        service: &Service,
    ) -> Result<(), EditError> {
        let mut wanted: HashMap<ServerKey, &Server> = service
            .servers
            .iter()
            .map(|server| (server.key, server))
            .collect();
        // Active ones come first: of two with one key an inactive one is a note of old.
        for active in [true, false] {
            for at in blocks {
                self.change(*at, active, &mut wanted)?;
            }
        }
        let Some(first) = blocks.first().copied() else {
            return Ok(());
        };
        for server in &service.servers {
            if wanted.contains_key(&server.key) {
                self.add_server(first, network, server)?;
            }
        }
        Ok(())
    }

    /// Changes the servers of a block that are active, or those that are not; takes what was
    /// found out of `wanted`.
    fn change(
        &mut self,
        at: usize,
        active: bool,
        wanted: &mut HashMap<ServerKey, &Server>,
    ) -> Result<(), EditError> {
        let meant: Vec<RealServer> = self.config.services[at].servers.clone();
        let positions = self.places[at].servers.clone();
        for (server, position) in meant.iter().zip(positions) {
            if server.active != active {
                continue;
            }
            let now = wanted.remove(&server.key());
            if now.is_none() && !active {
                continue;
            }
            let service = self.block(at)?;
            let says_tunnel = service.body().values("tunnel").is_some();
            let known = match server.forwarding {
                Forwarding::Tunnel => Some(server.encapsulation),
                Forwarding::Nat | Forwarding::Direct => (!says_tunnel
                    && !server_says_tunnel(service, position))
                .then_some(Encapsulation::Ipip),
            };
            let block = service.body_mut().blocks_mut().nth(position);
            let block = block.ok_or(EditError::NoSuchBlock)?;
            match now {
                Some(now) => edit(block, server, now, known)?,
                None => block.set("active", &["0"])?,
            }
        }
        Ok(())
    }

    fn add_server(
        &mut self,
        at: usize,
        network: Forwarding,
        server: &Server,
    ) -> Result<(), EditError> {
        let service = &self.config.services[at];
        let taken: HashSet<&str> = service
            .servers
            .iter()
            .map(|other| other.name.as_str())
            .collect();
        let name = free(&plain_name(server.key.address), &taken);
        let port = service.port;
        let block = self.block(at)?;
        let method = method_of_the_service(block, network);
        let says_tunnel = block.body().values("tunnel").is_some();
        let added = block.body_mut().add_block(BlockKind::Server, &name)?;
        added.set("address", &[&server.key.address.to_string()])?;
        added.set("active", &["1"])?;
        let mut meant = RealServer {
            active: true,
            address: server.key.address,
            port,
            forwarding: method,
            ..RealServer::new(name)
        };
        if server.key.port != port {
            added.set("port", &[&server.key.port.to_string()])?;
            meant.port = server.key.port;
        }
        // Said in any case, as in Piranha's files.
        added.set("weight", &[&server.weight.to_string()])?;
        meant.weight = server.weight;
        let known = (!says_tunnel).then_some(Encapsulation::Ipip);
        edit(added, &meant, server, known)?;
        let service: &mut VirtualService = Arc::make_mut(&mut self.config.services[at]);
        service.servers.push(meant);
        Ok(())
    }
}

/// Sets the keys whose meaning differs from what the server is.
///
/// `known` is the tunnel that the block says already, by itself or by its service, if there is no
/// doubt about it.
fn edit(
    block: &mut Block,
    meant: &RealServer,
    server: &Server,
    known: Option<Encapsulation>,
) -> Result<(), EditError> {
    if !meant.active {
        block.set("active", &["1"])?;
    }
    if meant.weight != server.weight {
        block.set("weight", &[&server.weight.to_string()])?;
    }
    if meant.forwarding != server.forwarding {
        block.set("forward", &[&server.forwarding.to_string()])?;
    }
    if server.forwarding == Forwarding::Tunnel && known != Some(server.encapsulation) {
        encapsulation(block, server.encapsulation)?;
    }
    let (before, now) = (meant.thresholds, server.thresholds);
    if before.upper() != now.upper() {
        block.set("upper_threshold", &[&now.upper().to_string()])?;
    }
    if before.lower() != now.lower() {
        block.set("lower_threshold", &[&now.lower().to_string()])?;
    }
    Ok(())
}

/// Says the tunnel, whatever was said.
fn encapsulation(block: &mut Block, encapsulation: Encapsulation) -> Result<(), EditError> {
    let checksum = |block: &mut Block, word| block.set("tunnel_checksum", &[word]);
    block.set("tunnel", &[&encapsulation.to_string()])?;
    match encapsulation {
        Encapsulation::Ipip => {
            block.body_mut().remove("tunnel_port");
            block.body_mut().remove("tunnel_checksum");
            Ok(())
        }
        Encapsulation::Gue {
            port,
            checksum: kind,
        } => {
            block.set("tunnel_port", &[&port.to_string()])?;
            let word = match kind {
                GueChecksum::None => "none",
                GueChecksum::Full => "full",
                GueChecksum::Remote => "remote",
            };
            checksum(block, word)
        }
        Encapsulation::Gre { checksum: full } => {
            block.body_mut().remove("tunnel_port");
            checksum(block, if full { "full" } else { "none" })
        }
    }
}

/// What a server has that says no `forward`.
fn method_of_the_service(block: &Block, network: Forwarding) -> Forwarding {
    let said = block.body().values("forward");
    let word = said.as_ref().and_then(|words| words.first());
    word.and_then(|word| word.parse().ok()).unwrap_or(network)
}

fn server_says_tunnel(service: &Block, position: usize) -> bool {
    let block = service.body().blocks().nth(position);
    block.is_some_and(|block| block.body().values("tunnel").is_some())
}

fn plain_name(address: IpAddr) -> String {
    format!("server_{address}")
}
