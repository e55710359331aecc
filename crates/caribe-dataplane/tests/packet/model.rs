//! A director in plain Rust, by the prose of the rules and with nothing of the code under test:
//! a `HashMap` of connections, frames as values, no bytes. It knows no time: the test says which
//! connections expired.

use std::collections::HashMap;
use std::net::IpAddr;

use caribe_packet::server::Traffic;
use caribe_packet::verdict::Verdict;

use crate::bench::{Expected, NewServer, Side};
use crate::flow::{Net, icmp_error, natted, routed, tunnelled};
use crate::frame::{ACK, Body, FIN, Frame, INIT, Mac, RST, SYN};
use crate::lifecycle::{INPUT, INPUT_ONLY, OUTPUT, active, cell_of, code};
use crate::sctp_states;

/// Client, peer, protocol.
pub(crate) type Tuple = ((IpAddr, u16), (IpAddr, u16), u8);

/// How a service chooses.
#[derive(Debug, Clone)]
pub(crate) enum Schedule {
    /// Goes through the servers, then over and over through those from `cycle_start` on.
    Rotate {
        run: Vec<u32>,
        cycle_start: usize,
        position: usize,
    },
    /// The least loaded for its weight, the first of equals.
    Least(Vec<(u32, u32)>),
}

/// A real server, and what the model counts for it.
#[derive(Debug, Clone)]
pub(crate) struct ModelServer {
    pub(crate) new: NewServer,
    pub(crate) in_service: bool,
    pub(crate) reachable: bool,
    pub(crate) active: u32,
    pub(crate) inactive: u32,
    pub(crate) traffic: Traffic,
}

/// A connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) server: u32,
    pub(crate) server_at: (IpAddr, u16),
    pub(crate) is_nat: bool,
    pub(crate) expired: bool,
    /// By IPVS's number; `None` for UDP.
    state: Option<u8>,
    is_active: bool,
    client_mac: Mac,
    own_mac: Mac,
    client_side: Side,
}

impl Connection {
    /// Both ends are through with it: a SYN or INIT starts another.
    fn is_over(&self, protocol: u8) -> bool {
        let over = match protocol {
            132 => [sctp_states::code("CL"); 2],
            _ => [code("TW"), code("CL")],
        };
        self.state.is_some_and(|state| over.contains(&state))
    }
}

/// Tables of the model.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) services: HashMap<(IpAddr, u16, u8), Schedule>,
    pub(crate) servers: HashMap<u32, ModelServer>,
    pub(crate) connections: HashMap<Tuple, Connection>,
    /// Keys of `connections` in the order in which they came.
    pub(crate) order: Vec<Tuple>,
    /// NAT connections by client, server and protocol.
    replies: HashMap<Tuple, Tuple>,
}

/// Who sent a packet, and whether the other half of the conversation is seen.
#[derive(Clone, Copy)]
enum Seen {
    Input,
    InputOnly,
    Output,
}

impl Model {
    /// What becomes of a frame.
    pub(crate) fn handle(&mut self, side: Side, frame: &Frame) -> Expected {
        let packet = &frame.packet;
        let (protocol, flags) = match &packet.body {
            Body::Tcp(tcp) => (6, tcp.flags),
            Body::Udp(_) => (17, 0),
            Body::Sctp(sctp) => (132, sctp.chunks[0].0),
            Body::Raw(44, _) if packet.source.is_ipv6() => {
                return self.stranger(
                    packet.destination,
                    [Verdict::DroppedFragment, Verdict::PassedFragment],
                );
            }
            // Random options, as the first byte says with UDP behind them, reach beyond the packet.
            Body::Raw(0 | 60, _) if packet.source.is_ipv6() => {
                return Expected::Dropped(Verdict::DroppedMalformed);
            }
            // A random routing header has segments left.
            Body::Raw(43, _) if packet.source.is_ipv6() => {
                return self.stranger(
                    packet.destination,
                    [
                        Verdict::DroppedExtensionHeader,
                        Verdict::PassedExtensionHeader,
                    ],
                );
            }
            Body::Gue(_) => panic!("random traffic has no GUE: {packet:?}"),
            Body::Icmp { .. } | Body::Inner(_) | Body::Gre(..) | Body::Raw(..) => {
                return Expected::Passed(Verdict::PassedProtocol);
            }
        };
        // No later fragment of the random traffic is of a packet whose first one came.
        if packet.source.is_ipv4() && packet.fragment.1 > 0 {
            return self.stranger(
                packet.destination,
                [Verdict::DroppedFragment, Verdict::PassedFragment],
            );
        }
        let (source_port, destination_port) = packet.ports();
        let (source, destination) = (
            (packet.source, source_port),
            (packet.destination, destination_port),
        );

        if let Some(tuple) = self.replies.get(&(destination, source, protocol)).copied()
            && !self.connections[&tuple].expired
        {
            return self.reply(frame, &tuple, flags, side);
        }
        let tuple = (source, destination, protocol);
        if let Some(connection) = self.connections.get_mut(&tuple)
            && !connection.expired
        {
            if !is_start(protocol, flags) || !connection.is_over(protocol) {
                return self.request(frame, &tuple, flags, side);
            }
            // The client is through with it, whatever becomes of its new one.
            connection.expired = true;
        }
        self.schedule(frame, &tuple, flags, side)
    }

    /// What cannot be balanced is dropped if it is for a VIP.
    fn stranger(&self, to: IpAddr, [dropped, passed]: [Verdict; 2]) -> Expected {
        if self.services.keys().any(|(vip, _, _)| *vip == to) {
            Expected::Dropped(dropped)
        } else {
            Expected::Passed(passed)
        }
    }

    fn reply(&mut self, frame: &Frame, tuple: &Tuple, flags: u8, side: Side) -> Expected {
        let index = self.connections[tuple].server;
        let server = self.server(index);
        if server.in_service {
            server.traffic.packets_out += 1;
            server.traffic.bytes_out += frame.packet.length() as u64;
        }
        self.transition(tuple, flags, Seen::Output);
        if frame.packet.ttl <= 1 {
            return spent(frame);
        }
        let connection = &self.connections[tuple];
        let (_, (vip, vport), _) = *tuple;
        let sent = frame.clone().with(|frame| {
            frame.destination = connection.client_mac;
            frame.source = connection.own_mac;
            frame.packet.ttl -= 1;
            frame.packet.source = vip;
            let (_, cport) = frame.packet.ports();
            frame.packet.set_ports(vport, cport);
        });
        leave(Verdict::ForwardedReply, sent, side, connection.client_side)
    }

    fn request(&mut self, frame: &Frame, tuple: &Tuple, flags: u8, side: Side) -> Expected {
        let Connection {
            server: index,
            is_nat,
            server_at,
            ..
        } = self.connections[tuple];
        if !self.server(index).in_service {
            return Expected::Dropped(Verdict::DroppedServerGone);
        }
        let traffic = &mut self.server(index).traffic;
        traffic.packets_in += 1;
        traffic.bytes_in += frame.packet.length() as u64;
        self.transition(
            tuple,
            flags,
            if is_nat { Seen::Input } else { Seen::InputOnly },
        );
        if is_nat {
            let connection = self.connections.get_mut(tuple).expect("it was just read");
            if (connection.client_mac, connection.client_side) != (frame.source, side) {
                connection.client_mac = frame.source;
                connection.own_mac = frame.destination;
                connection.client_side = side;
            }
        }
        self.forward(frame, index, server_at, side)
    }

    fn schedule(&mut self, frame: &Frame, tuple: &Tuple, flags: u8, side: Side) -> Expected {
        let ((client, cport), (vip, vport), protocol) = *tuple;
        let Some(schedule) = self.services.get_mut(&(vip, vport, protocol)) else {
            return Expected::Passed(Verdict::PassedNotOurs);
        };
        if protocol != 17 && !is_start(protocol, flags) {
            return Expected::Passed(Verdict::PassedNoConnection);
        }
        if cport == 20 {
            return Expected::Passed(Verdict::PassedFtpData);
        }
        let chosen = match schedule {
            Schedule::Rotate { run, .. } if run.is_empty() => None,
            Schedule::Rotate {
                run,
                cycle_start,
                position,
            } => {
                let chosen = run[*position];
                *position = if *position + 1 < run.len() {
                    *position + 1
                } else {
                    *cycle_start
                };
                Some(chosen)
            }
            Schedule::Least(members) => least(members, &self.servers),
        };
        let Some(index) = chosen else {
            let error = if client.is_ipv4() { (3, 3) } else { (1, 4) };
            return tell(
                frame,
                error,
                [0; 4],
                [Verdict::AnsweredNoServer, Verdict::DroppedNoServer],
            );
        };
        let server = self.server(index);
        if !server.reachable {
            return Expected::Dropped(Verdict::DroppedUnreachable);
        }
        let new = server.new;
        server.inactive += 1;
        server.traffic.connections += 1;
        server.traffic.packets_in += 1;
        server.traffic.bytes_in += frame.packet.length() as u64;
        let is_nat = new.forwarding == 0;
        let server_at = (new.address, if new.port == 0 { vport } else { new.port });
        let connection = Connection {
            server: index,
            server_at,
            is_nat,
            expired: false,
            state: (protocol != 17).then_some(0),
            is_active: false,
            client_mac: frame.source,
            own_mac: frame.destination,
            client_side: side,
        };
        match self.connections.insert(*tuple, connection) {
            Some(old) => {
                let server = self.server(old.server);
                match old.is_active {
                    true => server.active -= 1,
                    false => server.inactive -= 1,
                }
                if old.is_nat {
                    self.replies
                        .remove(&((client, cport), old.server_at, protocol));
                }
            }
            None => self.order.push(*tuple),
        }
        if is_nat {
            self.replies
                .insert(((client, cport), server_at, protocol), *tuple);
        }
        self.transition(
            tuple,
            flags,
            if is_nat { Seen::Input } else { Seen::InputOnly },
        );
        self.forward(frame, index, server_at, side)
    }

    /// The table of the viewpoint, then the counters.
    fn transition(&mut self, tuple: &Tuple, flags: u8, seen: Seen) {
        let connection = self
            .connections
            .get_mut(tuple)
            .expect("a connection of the table");
        let Some(state) = connection.state else {
            return;
        };
        let (next, is) = if tuple.2 == 132 {
            let table = match seen {
                Seen::Input => &sctp_states::INPUT,
                Seen::InputOnly => &sctp_states::INPUT_ONLY,
                Seen::Output => &sctp_states::OUTPUT,
            };
            let next = sctp_states::cell_of(table, flags, state);
            (next, next == sctp_states::ESTABLISHED)
        } else {
            let table = match seen {
                Seen::Input => &INPUT,
                Seen::InputOnly => &INPUT_ONLY,
                Seen::Output => &OUTPUT,
            };
            let event = [RST, SYN, FIN, ACK]
                .into_iter()
                .find(|event| flags & event != 0);
            let next = event.map_or(code("CL"), |event| cell_of(table, event, state));
            (next, active(next))
        };
        connection.state = Some(next);
        let was = connection.is_active;
        connection.is_active = is;
        let index = connection.server;
        let server = self.server(index);
        match (was, is) {
            (false, true) => {
                server.inactive -= 1;
                server.active += 1;
            }
            (true, false) => {
                server.active -= 1;
                server.inactive += 1;
            }
            _ => {}
        }
    }

    fn forward(
        &mut self,
        frame: &Frame,
        index: u32,
        server_at: (IpAddr, u16),
        side: Side,
    ) -> Expected {
        let server = self.server(index);
        if !server.reachable {
            return Expected::Dropped(Verdict::DroppedUnreachable);
        }
        if frame.packet.ttl <= 1 {
            return spent(frame);
        }
        let new = server.new;
        let outer = if new.address.is_ipv6() {
            Net::V6
        } else {
            Net::V4
        };
        let overhead = if new.forwarding == 2 {
            outer.header()
        } else {
            0
        };
        let room = usize::from(new.mtu) - overhead;
        if frame.packet.length() > room {
            let [high, low] = u16::try_from(room).expect("an MTU").to_be_bytes();
            let verdicts = [Verdict::AnsweredTooBig, Verdict::DroppedTooBig];
            if frame.packet.source.is_ipv4() && !frame.packet.do_not_fragment {
                return Expected::Dropped(Verdict::DroppedTooBig);
            }
            let error = if frame.packet.source.is_ipv4() {
                (3, 4)
            } else {
                (2, 0)
            };
            return tell(frame, error, [0, 0, high, low], verdicts);
        }
        let is_cut = matches!(frame.packet.body, Body::Sctp(_)) && frame.packet.fragment.0;
        if is_cut && new.forwarding == 0 && server_at.1 != frame.packet.ports().1 {
            return Expected::Dropped(Verdict::DroppedFragment);
        }
        let (verdict, sent) = match new.forwarding {
            0 => (Verdict::ForwardedNat, natted(frame, index, server_at)),
            2 => {
                let from = new.tunnel_source.expect("a tunnel has two ends");
                (
                    Verdict::ForwardedTunnel,
                    tunnelled(frame, index, from, new.address),
                )
            }
            _ => (Verdict::ForwardedDirect, routed(frame, index)),
        };
        leave(verdict, sent, side, new.side)
    }

    fn server(&mut self, index: u32) -> &mut ModelServer {
        self.servers.get_mut(&index).expect("a server of the table")
    }
}

/// True for a packet that may start a connection: a SYN without RST, an INIT.
fn is_start(protocol: u8, flags: u8) -> bool {
    match protocol {
        132 => flags == INIT,
        _ => flags & (RST | SYN) == SYN,
    }
}

/// An active connection weighs as much as 256 inactive ones.
fn least(members: &[(u32, u32)], servers: &HashMap<u32, ModelServer>) -> Option<u32> {
    let overhead = |index: &u32| {
        let server = &servers[index];
        u128::from(server.active) * 256 + u128::from(server.inactive)
    };
    let mut best: Option<(u32, u32)> = None;
    for (index, weight) in members {
        let is_better = best.is_none_or(|(best, best_weight)| {
            overhead(&best) * u128::from(*weight) > overhead(index) * u128::from(best_weight)
        });
        if is_better {
            best = Some((*index, *weight));
        }
    }
    best.map(|(index, _)| index)
}

fn spent(frame: &Frame) -> Expected {
    let error = if frame.packet.source.is_ipv4() {
        (11, 0)
    } else {
        (3, 0)
    };
    tell(
        frame,
        error,
        [0; 4],
        [Verdict::AnsweredTtl, Verdict::DroppedTtl],
    )
}

/// An ICMP error, unless none may be sent.
fn tell(
    frame: &Frame,
    error: (u8, u8),
    rest: [u8; 4],
    [answered, dropped]: [Verdict; 2],
) -> Expected {
    let is_single_host = match frame.packet.source {
        IpAddr::V4(source) => !matches!(source.octets()[0], 0 | 127 | 224..=255),
        IpAddr::V6(source) => !source.is_multicast() && source.segments()[0] != 0,
    };
    let has_options = frame.packet.source.is_ipv4() && !frame.packet.options.is_empty();
    if !is_single_host || has_options {
        return Expected::Dropped(dropped);
    }
    Expected::Transmitted(answered, icmp_error(frame, error, rest))
}

/// Back by the interface that it came by, or by another.
fn leave(verdict: Verdict, frame: Frame, came: Side, goes: Side) -> Expected {
    if came == goes {
        Expected::Transmitted(verdict, frame)
    } else {
        Expected::Redirected(verdict, frame)
    }
}
