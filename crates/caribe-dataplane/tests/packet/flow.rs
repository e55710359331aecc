//! The addresses that all cases use, the frames of an ordinary client and an ordinary server, and
//! what forwarding is expected to make of them, by the rules of IPVS.

use std::net::IpAddr;

use crate::frame::{
    ABORT, ACK, Body, COOKIE_ECHO, DATA, Frame, INIT, INIT_ACK, Mac, PSH, Packet, RST, SYN, Sctp,
    Tcp, Udp, v4, v6,
};

/// The director's interface towards clients.
pub(crate) const FRONT_MAC: Mac = [0x02, 0, 0, 0, 0x0d, 0x01];
/// The director's interface towards servers.
pub(crate) const BACK_MAC: Mac = [0x02, 0, 0, 0, 0x0d, 0x02];

/// The MAC address from which a client's packets come.
pub(crate) const fn client_mac(number: u8) -> Mac {
    [0x02, 0, 0, 0, 0xc1, number]
}

/// The MAC address of a real server.
pub(crate) const fn server_mac(index: u32) -> Mac {
    let [a, b, c, d] = index.to_be_bytes();
    [0x02, 0x5e, a, b, c, d]
}

/// The virtual port.
pub(crate) const VPORT: u16 = 80;
/// The client's port.
pub(crate) const CPORT: u16 = 50_000;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Net {
    V4,
    V6,
}

impl Net {
    pub(crate) const BOTH: [Net; 2] = [Net::V4, Net::V6];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Net::V4 => "v4",
            Net::V6 => "v6",
        }
    }

    pub(crate) fn vip(self) -> IpAddr {
        match self {
            Net::V4 => v4("198.51.100.10"),
            Net::V6 => v6("2001:db8:5::10"),
        }
    }

    pub(crate) fn client(self, number: u8) -> IpAddr {
        match self {
            Net::V4 => v4(&format!("203.0.113.{number}")),
            Net::V6 => v6(&format!("2001:db8:c::{number:x}")),
        }
    }

    pub(crate) fn server(self, number: u8) -> IpAddr {
        match self {
            Net::V4 => v4(&format!("10.77.1.{number}")),
            Net::V6 => v6(&format!("fd77:1::{number:x}")),
        }
    }

    /// Where the director's tunnels start.
    pub(crate) fn tunnel_source(self) -> IpAddr {
        match self {
            Net::V4 => v4("10.77.0.1"),
            Net::V6 => v6("fd77::1"),
        }
    }

    /// An address that has no virtual service.
    pub(crate) fn elsewhere(self) -> IpAddr {
        match self {
            Net::V4 => v4("192.0.2.200"),
            Net::V6 => v6("2001:db8:e::200"),
        }
    }

    /// Bytes of an IP header without options.
    pub(crate) const fn header(self) -> usize {
        match self {
            Net::V4 => 20,
            Net::V6 => 40,
        }
    }
}

/// A protocol that is balanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    Sctp,
}

/// A protocol over a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Flow {
    pub(crate) net: Net,
    pub(crate) transport: Transport,
}

pub(crate) const TCP4: Flow = Flow {
    net: Net::V4,
    transport: Transport::Tcp,
};
pub(crate) const UDP4: Flow = Flow {
    net: Net::V4,
    transport: Transport::Udp,
};
pub(crate) const TCP6: Flow = Flow {
    net: Net::V6,
    transport: Transport::Tcp,
};
pub(crate) const UDP6: Flow = Flow {
    net: Net::V6,
    transport: Transport::Udp,
};

pub(crate) const SCTP4: Flow = Flow {
    net: Net::V4,
    transport: Transport::Sctp,
};
pub(crate) const SCTP6: Flow = Flow {
    net: Net::V6,
    transport: Transport::Sctp,
};

impl Flow {
    pub(crate) const ALL: [Flow; 6] = [TCP4, UDP4, TCP6, UDP6, SCTP4, SCTP6];
    pub(crate) const TCP: [Flow; 2] = [TCP4, TCP6];
    pub(crate) const UDP: [Flow; 2] = [UDP4, UDP6];
    pub(crate) const SCTP: [Flow; 2] = [SCTP4, SCTP6];

    pub(crate) fn is_tcp(self) -> bool {
        self.transport == Transport::Tcp
    }

    /// Another protocol.
    pub(crate) fn other(self) -> Transport {
        match self.transport {
            Transport::Tcp => Transport::Udp,
            Transport::Udp => Transport::Sctp,
            Transport::Sctp => Transport::Tcp,
        }
    }

    /// A packet that starts nothing, if there is such a thing.
    pub(crate) fn stray(self, client: u8) -> Option<Frame> {
        (self.transport != Transport::Udp).then(|| self.later(client))
    }

    pub(crate) fn is_sctp(self) -> bool {
        self.transport == Transport::Sctp
    }

    pub(crate) const fn name(self) -> &'static str {
        match (self.transport, self.net) {
            (Transport::Tcp, Net::V4) => "tcp4",
            (Transport::Tcp, Net::V6) => "tcp6",
            (Transport::Udp, Net::V4) => "udp4",
            (Transport::Udp, Net::V6) => "udp6",
            (Transport::Sctp, Net::V4) => "sctp4",
            (Transport::Sctp, Net::V6) => "sctp6",
        }
    }

    /// IP protocol number.
    pub(crate) const fn number(self) -> u8 {
        match self.transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Sctp => 132,
        }
    }

    /// The virtual service of most cases.
    pub(crate) fn vip(self) -> (IpAddr, u16) {
        (self.net.vip(), VPORT)
    }

    /// What carries `payload` between two ports: a segment with a SYN, a datagram, or an INIT.
    pub(crate) fn body(self, (source, destination): (u16, u16), payload: &[u8]) -> Body {
        match self.transport {
            Transport::Tcp => Body::Tcp(Tcp {
                source,
                destination,
                flags: SYN,
                sequence: 0x1000_0001,
                acknowledgement: 0,
                options: Vec::new(),
                payload: payload.to_vec(),
                checksum_error: 0,
            }),
            Transport::Udp => Body::Udp(Udp {
                source,
                destination,
                payload: payload.to_vec(),
                with_checksum: true,
                checksum_error: 0,
            }),
            Transport::Sctp => Body::Sctp(Sctp {
                source,
                destination,
                chunks: vec![(INIT, payload.to_vec())],
                checksum_error: 0,
            }),
        }
    }

    /// The first packet of a client: a SYN with options, a datagram of odd length, or an INIT.
    pub(crate) fn request(self, client: u8) -> Frame {
        let payload: &[u8] = match self.transport {
            Transport::Tcp => b"",
            Transport::Udp => b"question?",
            Transport::Sctp => &INITIATION,
        };
        let body = self.body((CPORT, VPORT), payload);
        let packet = Packet::new(self.net.client(client), self.net.vip(), body);
        let frame = Frame {
            destination: FRONT_MAC,
            source: client_mac(client),
            packet,
            padding: Vec::new(),
        };
        if !self.is_tcp() {
            return frame;
        }
        // MSS 1460, SACK permitted, window scale 7.
        let options = vec![2, 4, 0x05, 0xb4, 4, 2, 1, 3, 3, 7, 1, 0];
        frame.with(|frame| frame.packet.tcp().options = options)
    }

    /// A later packet of a client; for SCTP, the one that ends its handshake.
    pub(crate) fn later(self, client: u8) -> Frame {
        if self.is_sctp() {
            let chunks = vec![(COOKIE_ECHO, vec![0xc0; 8]), (DATA, Vec::new())];
            return self.request(client).chunks(chunks).payload(37);
        }
        let frame = self.request(client).payload(37);
        if !self.is_tcp() {
            return frame;
        }
        frame.flags(ACK | PSH).with(|frame| {
            let tcp = frame.packet.tcp();
            tcp.acknowledgement = 0x2000_0002;
            tcp.options = vec![1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0];
        })
    }

    /// A packet of a client that gives the connection up. Only for what has such packets.
    pub(crate) fn reset(self, client: u8) -> Frame {
        if self.is_sctp() {
            return self.later(client).chunks(vec![(ABORT, Vec::new())]);
        }
        self.later(client).flags(RST)
    }

    /// A packet of a real server to a client's usual port: SYN+ACK, a datagram, or INIT ACK.
    pub(crate) fn reply(self, index: u32, (server, port): (IpAddr, u16), client: u8) -> Frame {
        let payload: &[u8] = match self.transport {
            Transport::Tcp => b"",
            Transport::Udp => b"answer",
            Transport::Sctp => &INITIATION,
        };
        let mut body = self.body((port, CPORT), payload);
        if let Body::Tcp(tcp) = &mut body {
            tcp.flags = SYN | ACK;
            tcp.acknowledgement = 0x1000_0002;
        }
        if let Body::Sctp(sctp) = &mut body {
            sctp.chunks[0].0 = INIT_ACK;
        }
        Frame {
            destination: BACK_MAC,
            source: server_mac(index),
            packet: Packet::new(server, self.net.client(client), body),
            padding: Vec::new(),
        }
    }
}

/// What an INIT says: tag, window, ten streams each way, the first TSN.
const INITIATION: [u8; 16] = [0xc0, 0xff, 0xee, 2, 0, 1, 0, 0, 0, 10, 0, 10, 0, 0, 0, 1];

/// A client's frame as NAT sends it to server `index` at an address and port.
pub(crate) fn natted(frame: &Frame, index: u32, (server, port): (IpAddr, u16)) -> Frame {
    routed(frame, index).with(|frame| {
        frame.packet.destination = server;
        let (source, _) = frame.packet.ports();
        frame.packet.set_ports(source, port);
    })
}

/// A client's frame as direct routing sends it to server `index`.
pub(crate) fn routed(frame: &Frame, index: u32) -> Frame {
    frame.clone().with(|frame| {
        frame.destination = server_mac(index);
        frame.source = BACK_MAC;
        frame.packet.ttl -= 1;
    })
}

/// A client's frame as it goes through a tunnel to server `index`. The outer identification is 0,
/// as DF makes any value right; where the packet inside has no DF it is arbitrary.
pub(crate) fn tunnelled(frame: &Frame, index: u32, from: IpAddr, to: IpAddr) -> Frame {
    let inner = routed(frame, index).packet;
    let service = if inner.service & 3 == 3 {
        inner.service & !3 | 2
    } else {
        inner.service
    };
    let outer = Packet {
        service,
        ttl: inner.ttl,
        id: 0,
        do_not_fragment: inner.source.is_ipv4() && inner.do_not_fragment,
        ..Packet::new(from, to, Body::Inner(Box::new(inner)))
    };
    Frame {
        destination: server_mac(index),
        source: BACK_MAC,
        packet: outer,
        padding: frame.padding.clone(),
    }
}

/// A NAT server's frame as its client gets it.
pub(crate) fn replied(frame: &Frame, client: u8, (vip, port): (IpAddr, u16)) -> Frame {
    frame.clone().with(|frame| {
        frame.destination = client_mac(client);
        frame.source = FRONT_MAC;
        frame.packet.ttl -= 1;
        frame.packet.source = vip;
        let (_, destination) = frame.packet.ports();
        frame.packet.set_ports(port, destination);
    })
}

/// The ICMP error that answers a frame: from the address that it was sent to, back where it came
/// from, quoting its IP header and the eight bytes after it.
pub(crate) fn icmp_error(frame: &Frame, (kind, code): (u8, u8), rest: [u8; 4]) -> Frame {
    let packet = &frame.packet;
    let is_ipv4 = packet.source.is_ipv4();
    let quote = if is_ipv4 { 20 + 8 } else { 40 + 8 };
    let payload = packet.bytes()[..quote].to_vec();
    let body = Body::Icmp {
        kind,
        code,
        rest,
        payload,
    };
    Frame {
        destination: frame.source,
        source: frame.destination,
        packet: Packet {
            service: if is_ipv4 { 0xc0 } else { 0 },
            ttl: 64,
            id: 0,
            do_not_fragment: true,
            ..Packet::new(packet.destination, packet.source, body)
        },
        padding: Vec::new(),
    }
}
