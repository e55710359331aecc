//! The demo's `lvs.cf`: one service for each forwarding method, over IPv4 and over IPv6.

use std::fmt::Write;
use std::net::IpAddr;

use caribe_lab::topology::{
    DIRECTOR, FIRST_SERVER, FIRST_VIP, inside_v4, inside_v6, lan_v4, lan_v6,
};

/// How many real servers there are.
pub(super) const SERVERS: u8 = 3;
/// Port of every service.
pub(super) const VIP_PORT: u16 = 80;
/// Port of the real servers behind NAT, which translates it.
pub(super) const NAT_PORT: u16 = 8080;
/// Seconds between checks, and until a server that does not answer is out.
pub(super) const TIMEOUT: u64 = 2;

/// A forwarding method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Nat,
    Direct,
    Tunnel,
}

impl Method {
    pub(super) const ALL: [Method; 3] = [Method::Nat, Method::Direct, Method::Tunnel];

    /// The word of `lvs.cf` and of `caribe real-server`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Method::Nat => "nat",
            Method::Direct => "direct",
            Method::Tunnel => "tunnel",
        }
    }

    /// The VIPs of its two services.
    pub(super) fn vips(self) -> [IpAddr; 2] {
        let number = FIRST_VIP
            + match self {
                Method::Nat => 1,
                Method::Direct => 2,
                Method::Tunnel => 3,
            };
        [lan_v4(number).into(), lan_v6(number).into()]
    }

    /// Address and port of a real server as the director reaches it.
    fn server(self, index: u8, v6: bool) -> (IpAddr, u16) {
        let number = FIRST_SERVER + index;
        match (self, v6) {
            (Method::Nat, false) => (inside_v4(number).into(), NAT_PORT),
            (Method::Nat, true) => (inside_v6(number).into(), NAT_PORT),
            (_, false) => (lan_v4(number).into(), VIP_PORT),
            (_, true) => (lan_v6(number).into(), VIP_PORT),
        }
    }
}

/// A service as a client sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    pub(super) method: Method,
    pub(super) vip: IpAddr,
}

impl Service {
    /// All of them, in the order of the file.
    pub(super) fn all() -> Vec<Service> {
        Method::ALL
            .into_iter()
            .flat_map(|method| method.vips().map(|vip| Service { method, vip }))
            .collect()
    }

    /// Name of its block.
    pub(super) fn name(&self) -> String {
        let family = if self.vip.is_ipv6() { "6" } else { "4" };
        format!("{}{family}", self.method.word())
    }

    /// Where a client asks.
    pub(super) fn url(&self) -> String {
        match self.vip {
            IpAddr::V4(vip) => format!("http://{vip}/"),
            IpAddr::V6(vip) => format!("http://[{vip}]/"),
        }
    }
}

/// The whole file; `weight` is that of web1, which a reload changes.
pub(super) fn lvs_cf(serial_no: u32, weight: u32) -> String {
    let mut text = format!(
        "# The demo of Caribe.\n\
         serial_no = {serial_no}\n\
         primary = {primary}\n\
         service = lvs\n\
         network = direct\n\
         interface = eth1    # replies of NAT come in here\n",
        primary = lan_v4(DIRECTOR),
    );
    for (number, service) in Service::all().iter().enumerate() {
        let Service { method, vip } = service;
        let v6 = vip.is_ipv6();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\nvirtual {name} {{\n    active = 1\n    address = {vip} eth0:{label}\n    \
             port = {VIP_PORT}\n    protocol = tcp\n    forward = {forward}\n    \
             scheduler = wrr\n    timeout = {TIMEOUT}\n    reentry = {TIMEOUT}\n",
            name = service.name(),
            label = number + 1,
            forward = method.word(),
        );
        for index in 0..SERVERS {
            let (address, port) = method.server(index, v6);
            let weight = if index == 0 { weight } else { 1 };
            let _ = write!(
                text,
                "    server web{number} {{\n        active = 1\n        address = {address}\n        \
                 port = {port}\n        weight = {weight}\n    }}\n",
                number = index + 1,
            );
        }
        text.push_str("}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_every_server() {
        let text = lvs_cf(7, 3);
        assert_eq!(text.matches("virtual ").count(), 6);
        assert_eq!(text.matches("server web").count(), 18);
        assert_eq!(text.matches("weight = 3").count(), 6);
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
