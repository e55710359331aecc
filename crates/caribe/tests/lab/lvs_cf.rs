//! The `lvs.cf` of a test.

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};

use caribe_lab::topology::{
    DIRECTOR, FIRST_SERVER, FIRST_VIP, inside_v4, inside_v6, lan_v4, lan_v6,
};

/// How many real servers every test has.
pub(crate) const SERVERS: u8 = 3;

/// How packets get to the real servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Nat,
    Direct,
    Tunnel,
    /// Tunnelled over IPv6, whatever the family of the VIP.
    TunnelOver6,
}

impl Way {
    /// The word of `lvs.cf` and of `caribe real-server`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Way::Nat => "nat",
            Way::Direct => "direct",
            Way::Tunnel | Way::TunnelOver6 => "tunnel",
        }
    }

    /// The name in ipvsadm's column.
    pub(crate) fn listed(self) -> &'static str {
        match self {
            Way::Nat => "Masq",
            Way::Direct => "Route",
            Way::Tunnel | Way::TunnelOver6 => "Tunnel",
        }
    }
}

/// A virtual service as a client sees it, and how it is reached behind the director.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Balanced {
    pub(crate) way: Way,
    pub(crate) v6: bool,
    pub(crate) udp: bool,
}

impl Balanced {
    pub(crate) const fn tcp4(way: Way) -> Balanced {
        Balanced {
            way,
            v6: false,
            udp: false,
        }
    }

    pub(crate) const fn tcp6(way: Way) -> Balanced {
        Balanced {
            way,
            v6: true,
            udp: false,
        }
    }

    pub(crate) const fn udp4(way: Way) -> Balanced {
        Balanced {
            way,
            v6: false,
            udp: true,
        }
    }

    /// Every method over both families, and IPv4 tunnelled over IPv6, by TCP.
    pub(crate) fn every_tcp() -> Vec<Balanced> {
        let mut all = Vec::new();
        for way in [Way::Nat, Way::Direct, Way::Tunnel] {
            all.extend([Balanced::tcp4(way), Balanced::tcp6(way)]);
        }
        all.push(Balanced::tcp4(Way::TunnelOver6));
        all
    }

    /// As [`Balanced::every_tcp`], by TCP and by UDP.
    pub(crate) fn every() -> Vec<Balanced> {
        let by_udp = |service| Balanced {
            udp: true,
            ..service
        };
        let tcp = Balanced::every_tcp();
        tcp.iter()
            .copied()
            .chain(tcp.iter().copied().map(by_udp))
            .collect()
    }

    /// The VIP; TCP and UDP share it.
    pub(crate) fn vip(self) -> IpAddr {
        let number = FIRST_VIP
            + match self.way {
                Way::Nat => 1,
                Way::Direct => 2,
                Way::Tunnel => 3,
                Way::TunnelOver6 => 4,
            };
        if self.v6 {
            lan_v6(number).into()
        } else {
            lan_v4(number).into()
        }
    }

    /// VIP and port.
    pub(crate) fn place(self) -> SocketAddr {
        SocketAddr::new(self.vip(), if self.udp { 7000 } else { 80 })
    }

    /// `http://VIP/`, for services by TCP.
    pub(crate) fn url(self) -> String {
        format!("http://{}/", self.place())
    }

    /// Address and port of a real server; its first is number 0. NAT translates the port.
    pub(crate) fn server(self, index: u8) -> SocketAddr {
        let number = FIRST_SERVER + index;
        let address: IpAddr = match (self.way, self.v6) {
            (Way::Nat, false) => inside_v4(number).into(),
            (Way::Nat, true) => inside_v6(number).into(),
            (Way::Direct | Way::Tunnel, false) => lan_v4(number).into(),
            (Way::Direct | Way::Tunnel, true) | (Way::TunnelOver6, _) => lan_v6(number).into(),
        };
        let port = match (self.way, self.udp) {
            (Way::Nat, false) => 8080,
            (Way::Nat, true) => 7007,
            (_, _) => self.place().port(),
        };
        SocketAddr::new(address, port)
    }
}

impl Display for Balanced {
    /// The name of its block, e.g. `nat4tcp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = if self.way == Way::TunnelOver6 {
            "over6"
        } else {
            ""
        };
        let family = if self.v6 { 6 } else { 4 };
        let protocol = if self.udp { "udp" } else { "tcp" };
        write!(f, "{}{over}{family}{protocol}", self.way.word())
    }
}

/// A `virtual` block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) service: Balanced,
    pub(crate) scheduler: &'static str,
    /// Weight of each server; `None` leaves it out of the file.
    pub(crate) weights: [Option<u32>; SERVERS as usize],
    /// More statements of the block.
    pub(crate) more: String,
}

/// A whole file.
#[derive(Debug, Clone)]
pub(crate) struct LvsCf {
    pub(crate) serial_no: u32,
    /// Seconds between checks of a server, and until one that fails is out.
    pub(crate) timeout: u32,
    /// Seconds that a failed server must be good for.
    pub(crate) reentry: u32,
    /// Where the VIPs go.
    pub(crate) interface: &'static str,
    /// More statements outside all blocks.
    pub(crate) more: String,
    pub(crate) blocks: Vec<Block>,
    /// Pages below `/health/` by which every server is well from the start.
    pub(crate) well: Vec<&'static str>,
}

impl LvsCf {
    /// These services with the scheduler rr, each with all servers at weight 1.
    pub(crate) fn rr(services: &[Balanced]) -> LvsCf {
        let block = |service: &Balanced| Block {
            service: *service,
            scheduler: "rr",
            weights: [Some(1); SERVERS as usize],
            more: String::new(),
        };
        LvsCf {
            serial_no: 1,
            timeout: 2,
            reentry: 4,
            interface: "eth0",
            more: String::new(),
            blocks: services.iter().map(block).collect(),
            well: Vec::new(),
        }
    }

    /// As [`LvsCf::rr`] with the scheduler wrr.
    pub(crate) fn wrr(services: &[Balanced]) -> LvsCf {
        let mut file = LvsCf::rr(services);
        for block in &mut file.blocks {
            block.scheduler = "wrr";
        }
        file
    }

    /// Gives a server this weight in every service, or leaves it out.
    pub(crate) fn weigh(mut self, server: usize, weight: Option<u32>) -> LvsCf {
        for block in &mut self.blocks {
            block.weights[server] = weight;
        }
        self
    }

    /// The services, in the order of the file.
    pub(crate) fn services(&self) -> impl Iterator<Item = Balanced> {
        self.blocks.iter().map(|block| block.service)
    }

    /// VIPs by the method of `caribe real-server` that serves them; none for NAT.
    pub(crate) fn vips(&self, word: &str) -> Vec<IpAddr> {
        let mut vips: Vec<IpAddr> = self
            .services()
            .filter(|service| service.way.word() == word)
            .map(Balanced::vip)
            .collect();
        vips.sort();
        vips.dedup();
        vips
    }
}

impl Display for LvsCf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "serial_no = {}", self.serial_no)?;
        writeln!(f, "primary = {}", lan_v4(DIRECTOR))?;
        writeln!(f, "service = lvs")?;
        writeln!(f, "interface = eth1")?;
        writeln!(f, "{}", self.more)?;
        for (number, block) in self.blocks.iter().enumerate() {
            let Block {
                service, scheduler, ..
            } = block;
            writeln!(f, "virtual {service} {{")?;
            writeln!(f, "    active = 1")?;
            let vip = service.vip();
            // TCP and UDP share a VIP, and so its label.
            let first = self.services().position(|other| other.vip() == vip);
            let label = first.unwrap_or(number) + 1;
            writeln!(f, "    address = {vip} {}:{label}", self.interface)?;
            writeln!(f, "    port = {}", service.place().port())?;
            let protocol = if service.udp { "udp" } else { "tcp" };
            writeln!(f, "    protocol = {protocol}")?;
            writeln!(f, "    forward = {}", service.way.word())?;
            writeln!(f, "    scheduler = {scheduler}")?;
            writeln!(f, "    timeout = {}", self.timeout)?;
            writeln!(f, "    reentry = {}", self.reentry)?;
            writeln!(f, "{}", block.more)?;
            for (index, weight) in (0..SERVERS).zip(block.weights) {
                let Some(weight) = weight else { continue };
                let server = service.server(index);
                writeln!(f, "    server web{} {{", index + 1)?;
                writeln!(f, "        active = 1")?;
                writeln!(f, "        address = {}", server.ip())?;
                writeln!(f, "        port = {}", server.port())?;
                writeln!(f, "        weight = {weight}")?;
                writeln!(f, "    }}")?;
            }
            writeln!(f, "}}")?;
        }
        Ok(())
    }
}
