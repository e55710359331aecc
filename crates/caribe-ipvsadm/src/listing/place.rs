//! Names of addresses and ports.

use std::net::{IpAddr, SocketAddr};

use crate::{Names, Protocol};

/// Address and port, by name where there is one.
pub(crate) fn place(
    address: IpAddr,
    port: u16,
    protocol: Option<Protocol>,
    names: &dyn Names,
) -> String {
    let host = names.host(address);
    let service = protocol.and_then(|protocol| names.service(protocol, port));
    if host.is_none() && service.is_none() {
        return SocketAddr::new(address, port).to_string();
    }
    let host = host.unwrap_or_else(|| address.to_string());
    let service = service.unwrap_or_else(|| port.to_string());
    match address {
        IpAddr::V4(_) => format!("{host}:{service}"),
        IpAddr::V6(_) => format!("[{host}]:{service}"),
    }
}

/// IPv4 names are cut to their column; IPv6 names push the columns aside.
pub(super) fn cut(name: String, address: IpAddr, columns: usize) -> String {
    if address.is_ipv6() {
        return name;
    }
    name.chars().take(columns).collect()
}
