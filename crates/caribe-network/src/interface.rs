//! Interfaces: what a name stands for.

use caribe_model::MacAddress;
use futures_util::TryStreamExt;
use netlink_packet_route::link::{
    LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, LinkXdp, XdpAttached,
};

use crate::error::into_io;
use crate::{Network, NetworkError};

/// An interface as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Index, as in [`caribe_model::NextHop::interface`].
    pub index: u32,
    /// Name, e.g. `eth0`.
    pub name: String,
    /// MAC address; `None` when it is not an Ethernet interface (loopback has none to speak of).
    pub mac: Option<MacAddress>,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Up and with carrier.
    pub running: bool,
    /// The loopback interface.
    pub loopback: bool,
    /// The XDP program attached to it, if any.
    pub xdp: Option<AttachedXdp>,
}

/// An XDP program on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachedXdp {
    /// The kernel's id of the program; 0 when several are attached in different modes.
    pub program: u32,
    /// In the driver (or offloaded), not in the generic hook of the stack.
    pub native: bool,
}

impl Network {
    /// The interface of that name.
    ///
    /// # Errors
    ///
    /// [`NetworkError::NoInterface`] when there is none; [`NetworkError::Request`] when the
    /// kernel could not be asked.
    pub async fn interface(&self, name: &str) -> Result<Interface, NetworkError> {
        let missing = || NetworkError::NoInterface {
            name: name.to_owned(),
        };
        // IFNAMSIZ is 16 with the final zero; the kernel would answer ERANGE.
        if name.is_empty() || name.len() > 15 {
            return Err(missing());
        }
        let mut links = self
            .handle
            .link()
            .get()
            .match_name(name.to_owned())
            .execute();
        match links.try_next().await {
            Ok(Some(message)) => Ok(Interface::from_message(&message)),
            Ok(None) => Err(missing()),
            Err(error) => match into_io(error) {
                error if error.raw_os_error() == Some(ENODEV) => Err(missing()),
                error => Err(NetworkError::io(
                    format!("look up interface `{name}`"),
                    error,
                )),
            },
        }
    }

    /// Every interface of the namespace, in the kernel's order.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] when the kernel could not be asked.
    pub async fn interfaces(&self) -> Result<Vec<Interface>, NetworkError> {
        let links = self.handle.link().get().execute();
        links
            .map_ok(|message| Interface::from_message(&message))
            .try_collect()
            .await
            .map_err(|error| NetworkError::request("list the interfaces", error))
    }

    /// The interface with that index; `None` when it is gone.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] when the kernel could not be asked.
    pub async fn interface_by_index(&self, index: u32) -> Result<Option<Interface>, NetworkError> {
        let mut links = self.handle.link().get().match_index(index).execute();
        match links.try_next().await {
            Ok(message) => Ok(message.as_ref().map(Interface::from_message)),
            Err(error) => match into_io(error) {
                error if error.raw_os_error() == Some(ENODEV) => Ok(None),
                error => Err(NetworkError::io(
                    format!("look up the interface with index {index}"),
                    error,
                )),
            },
        }
    }
}

/// "No such device" of errno(3).
const ENODEV: i32 = 19;

impl Interface {
    pub(crate) fn from_message(message: &LinkMessage) -> Self {
        let flags = message.header.flags;
        let ethernet = message.header.link_layer_type == LinkLayerType::Ether;
        let mut interface = Interface {
            index: message.header.index,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: flags.contains(LinkFlags::Up),
            running: flags.contains(LinkFlags::Up) && flags.contains(LinkFlags::LowerUp),
            loopback: flags.contains(LinkFlags::Loopback),
            xdp: None,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
                LinkAttribute::Address(bytes) if ethernet => {
                    interface.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddress);
                }
                LinkAttribute::Xdp(attributes) => interface.xdp = attached(attributes),
                _ => {}
            }
        }
        interface
    }
}

fn attached(attributes: &[LinkXdp]) -> Option<AttachedXdp> {
    let mut native = None;
    let mut program = 0;
    for attribute in attributes {
        match attribute {
            LinkXdp::Attached(XdpAttached::None) => return None,
            LinkXdp::Attached(XdpAttached::SocketBuffer) => native = Some(false),
            LinkXdp::Attached(_) => native = Some(true),
            LinkXdp::ProgId(id) => program = *id,
            _ => {}
        }
    }
    native.map(|native| AttachedXdp { program, native })
}
