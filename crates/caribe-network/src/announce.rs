//! Sending announcements through a packet socket.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use caribe_model::MacAddress;
use pnet_datalink::{Channel, Config, MacAddr, NetworkInterface};

use crate::{ArpForm, Interface, Network, NetworkError, gratuitous_arp, unsolicited_advertisement};

impl Network {
    /// Tells the segment once that `address` lives on `interface` now: both forms of a
    /// gratuitous ARP for IPv4, an unsolicited neighbour advertisement with the override flag
    /// for IPv6.
    ///
    /// Repeating it (Piranha: 5 times, a second apart) is the caller's matter. The packet socket
    /// belongs to the network namespace of the *calling thread*, which must be the one that
    /// [`Network::connect`] was called in.
    ///
    /// # Errors
    ///
    /// [`NetworkError::NoInterface`]; [`NetworkError::Unsuitable`] for an interface that is down
    /// or has no MAC address; [`NetworkError::Request`] when the frames could not be sent.
    pub async fn announce(&self, interface: &str, address: IpAddr) -> Result<(), NetworkError> {
        let interface = self.interface(interface).await?;
        let unsuitable = |reason: &str| NetworkError::Unsuitable {
            action: "announce an address",
            interface: interface.name.clone(),
            reason: reason.to_owned(),
        };
        let mac = interface.mac.ok_or_else(|| {
            unsuitable("it has no MAC address; announcements need an Ethernet interface")
        })?;
        if !interface.up {
            return Err(unsuitable("it is down; set it up first"));
        }
        match address {
            IpAddr::V4(address) => send(
                &interface,
                mac,
                address.into(),
                &[
                    &gratuitous_arp(ArpForm::Request, mac, address),
                    &gratuitous_arp(ArpForm::Reply, mac, address),
                ],
            ),
            IpAddr::V6(address) => {
                let router = is_router(&interface.name)
                    .map_err(|error| failed(&interface, address.into(), error))?;
                announce_v6(&interface, mac, address, router)
            }
        }
    }
}

fn announce_v6(
    interface: &Interface,
    mac: MacAddress,
    address: Ipv6Addr,
    router: bool,
) -> Result<(), NetworkError> {
    send(
        interface,
        mac,
        address.into(),
        &[&unsolicited_advertisement(mac, address, router)],
    )
}

fn send(
    interface: &Interface,
    mac: MacAddress,
    address: IpAddr,
    frames: &[&[u8]],
) -> Result<(), NetworkError> {
    let [a, b, c, d, e, f] = mac.0;
    let target = NetworkInterface {
        name: interface.name.clone(),
        description: String::new(),
        index: interface.index,
        mac: Some(MacAddr::new(a, b, c, d, e, f)),
        ips: Vec::new(),
        flags: 0,
    };
    let config = Config {
        promiscuous: false,
        ..Config::default()
    };
    let channel = pnet_datalink::channel(&target, config)
        .map_err(|error| failed(interface, address, error))?;
    let Channel::Ethernet(mut sender, _receiver) = channel else {
        let error = io::Error::other("no Ethernet channel to this interface");
        return Err(failed(interface, address, error));
    };
    for frame in frames {
        // `None` would mean that the frame does not fit the channel's buffer of 4096 bytes.
        sender
            .send_to(frame, None)
            .unwrap_or_else(|| Err(io::ErrorKind::InvalidInput.into()))
            .map_err(|error| failed(interface, address, error))?;
    }
    Ok(())
}

/// Whether the machine forwards IPv6 on that interface, as its router flag must tell.
fn is_router(interface: &str) -> io::Result<bool> {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    Ok(text.trim() != "0")
}

fn failed(interface: &Interface, address: IpAddr, error: io::Error) -> NetworkError {
    NetworkError::io(
        format!("announce {address} on interface `{}`", interface.name),
        error,
    )
}
