//! Whom to probe, and by which way.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use caribe_model::{Encapsulation, Forwarding};
use serde::{Deserialize, Serialize};

/// Whom a probe is addressed to, and what leads its packets there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Address and port. A ping and the clients of load daemons have no use for the port.
    pub address: SocketAddr,
    /// The director's address to send from; the kernel chooses when there is none.
    #[serde(default)]
    pub source: Option<IpAddr>,
    /// The interface that the packets leave and come by (`SO_BINDTODEVICE`).
    #[serde(default)]
    pub interface: Option<InterfaceName>,
    /// Leads what is addressed to the VIP to one server, as the data plane does.
    #[serde(default)]
    pub through: Option<Through>,
}

/// The data's way from a VIP to one server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Through {
    /// The server. Only NAT has a use for the port.
    pub server: SocketAddr,
    /// How packets get there.
    pub forwarding: Forwarding,
    /// What a tunnel puts around them.
    #[serde(default)]
    pub encapsulation: Encapsulation,
}

impl Target {
    /// This address, by whatever way the kernel takes.
    pub fn new(address: SocketAddr) -> Target {
        Target {
            address,
            source: None,
            interface: None,
            through: None,
        }
    }

    /// The same server at another port.
    pub fn at_port(&self, port: u16) -> Target {
        let mut target = self.clone();
        target.address.set_port(port);
        target
    }
}

/// A name that Linux allows for an interface: 1 to 15 bytes, without `/`, blanks or `:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(String);

/// A name that no interface can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be the name of an interface: 1 to 15 bytes without `/`, `:` and blanks")]
pub struct InterfaceNameError(String);

impl InterfaceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = InterfaceNameError;

    fn try_from(name: String) -> Result<InterfaceName, InterfaceNameError> {
        let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
        let fits = (1..=15).contains(&name.len()) && name != "." && name != "..";
        if fits && name.bytes().all(legal) {
            Ok(InterfaceName(name))
        } else {
            Err(InterfaceNameError(name))
        }
    }
}

impl From<InterfaceName> for String {
    fn from(name: InterfaceName) -> String {
        name.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_linux_allows() {
        for name in ["lo", "eth0.100", "br-lan", "abcdefghijklmno"] {
            assert!(InterfaceName::try_from(name.to_owned()).is_ok(), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "eth0:1",
            "abcdefghijklmnop",
            "a\0",
        ] {
            assert!(InterfaceName::try_from(name.to_owned()).is_err(), "{name}");
        }
    }
}
