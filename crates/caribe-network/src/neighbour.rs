//! The neighbour table: who has which MAC address, and how sure the kernel is.

use std::io;
use std::net::IpAddr;

use caribe_model::MacAddress;
use futures_util::StreamExt;
use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::error::into_io;
use crate::{Network, NetworkError};

impl Network {
    /// What the neighbour table says of an address on an interface.
    pub(crate) async fn neighbour(
        &self,
        interface: u32,
        address: IpAddr,
    ) -> Result<Entry, NetworkError> {
        let action = || format!("look up neighbour {address} on interface {interface}");
        let mut message = NeighbourMessage::default();
        message.header.ifindex = interface;
        let destination = match address {
            IpAddr::V4(address) => {
                message.header.family = AddressFamily::Inet;
                NeighbourAddress::Inet(address)
            }
            IpAddr::V6(address) => {
                message.header.family = AddressFamily::Inet6;
                NeighbourAddress::Inet6(address)
            }
        };
        message
            .attributes
            .push(NeighbourAttribute::Destination(destination));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNeighbour(message));
        request.header.flags = NLM_F_REQUEST;
        let mut answers = self
            .handle
            .clone()
            .request(request)
            .map_err(|error| NetworkError::request(action(), error))?;
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry)) => {
                    return Ok(Entry::from_message(&entry));
                }
                NetlinkPayload::Error(error) => {
                    let error = error.to_io();
                    return match error.kind() {
                        io::ErrorKind::NotFound => Ok(Entry::default()),
                        _ => Err(NetworkError::io(action(), error)),
                    };
                }
                _ => {}
            }
        }
        Ok(Entry::default())
    }

    /// Asks the kernel to find, or to confirm, a neighbour, as if a packet had been sent to it.
    pub(crate) async fn seek(&self, interface: u32, neighbour: IpAddr) -> Result<(), NetworkError> {
        let sought = self
            .handle
            .neighbours()
            .add(interface, neighbour)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace()
            .execute()
            .await;
        match sought.map_err(into_io) {
            Ok(()) => Ok(()),
            // The interface went down or away meanwhile; the next look-up will say so.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NetworkDown | io::ErrorKind::NotFound
                ) || error.raw_os_error() == Some(ENODEV) =>
            {
                Ok(())
            }
            Err(error) => Err(NetworkError::io(
                format!("seek neighbour {neighbour} on interface {interface}"),
                error,
            )),
        }
    }
}

/// "No such device" of errno(3).
const ENODEV: i32 = 19;

/// What the neighbour table says of an address.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// Present while the kernel would still send to it.
    pub(crate) mac: Option<MacAddress>,
    /// Needs no nudge: reachable of late, or static, or being probed already.
    pub(crate) confirmed: bool,
    /// The last search ended without an answer.
    pub(crate) failed: bool,
}

impl Entry {
    fn from_message(message: &NeighbourMessage) -> Self {
        use NeighbourState::{
            Delay, Failed, Incomplete, Noarp, Permanent, Probe, Reachable, Stale,
        };
        let state = message.header.state;
        let mac = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddress)
                }
                _ => None,
            });
        Entry {
            mac: mac
                .filter(|_| matches!(state, Reachable | Stale | Delay | Probe | Noarp | Permanent)),
            confirmed: matches!(
                state,
                Reachable | Delay | Probe | Noarp | Permanent | Incomplete
            ),
            failed: state == Failed,
        }
    }
}

/// The address that a neighbour message is about.
pub(crate) fn address(message: &NeighbourMessage) -> Option<IpAddr> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
                Some(IpAddr::V4(*address))
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
                Some(IpAddr::V6(*address))
            }
            _ => None,
        })
}
