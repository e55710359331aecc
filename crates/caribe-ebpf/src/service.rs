//! For which service is a packet?

use caribe_packet::service::{Service, ServiceKey};
use caribe_packet::settings::{ALL_PORTS, FTP, Settings};
use caribe_packet::transport::TCP;

use crate::classify;
use crate::family::Family;
use crate::packet::Packet;

/// FTP's control port.
pub const FTP_PORT: [u8; 2] = 21u16.to_be_bytes();
/// The port from which active FTP opens its data connections.
pub const FTP_DATA: u16 = 20;
/// The lowest port that passive FTP listens on: the first that is not privileged.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// A service, and by what it was found.
pub struct Found {
    /// The service.
    pub service: &'static Service,
    /// Its port, network order; not the packet's if it takes more ports than one.
    pub port: [u8; 2],
    /// The firewall mark; 0 if it was found by its address.
    pub mark: u32,
}

/// The service of a packet, in IPVS's order: its firewall mark, its very port, FTP for ports that its data
/// connections may use, and the service of all ports.
#[inline(always)]
pub fn of_packet<F: Family<WORDS>, const WORDS: usize>(
    packet: &Packet<F::Address>,
    settings: &Settings,
) -> Option<Found> {
    if let Some((service, mark)) = classify::by_mark::<F, WORDS>(packet) {
        return Some(Found {
            service,
            port: [0, 0],
            mark,
        });
    }
    let port = packet.ports.destination;
    if let Some(service) = at_port::<F, WORDS>(packet, port) {
        return Some(Found {
            service,
            port,
            mark: 0,
        });
    }
    if settings.wide_services == 0 {
        return None;
    }
    let number = u16::from_be_bytes(port);
    if settings.wide_services & FTP != 0
        && packet.protocol == TCP
        && (number == FTP_DATA || number >= FIRST_UNPRIVILEGED)
        && let Some(service) = at_port::<F, WORDS>(packet, FTP_PORT)
    {
        return Some(Found {
            service,
            port: FTP_PORT,
            mark: 0,
        });
    }
    if settings.wide_services & ALL_PORTS == 0 {
        return None;
    }
    Some(Found {
        service: at_port::<F, WORDS>(packet, [0, 0])?,
        port: [0, 0],
        mark: 0,
    })
}

#[inline(always)]
fn at_port<F: Family<WORDS>, const WORDS: usize>(
    packet: &Packet<F::Address>,
    port: [u8; 2],
) -> Option<&'static Service> {
    F::service(&ServiceKey {
        address: packet.destination,
        port,
        protocol: packet.protocol,
        padding: 0,
    })
}
