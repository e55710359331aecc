//! Random traffic through the BPF program and through the [`model`](crate::model): what becomes
//! of every packet, every byte of it, and in the end every counter must be the same.

use std::net::IpAddr;

use caribe_packet::server::{IN_SERVICE, REACHABLE, Server};
use caribe_packet::settings::ticks_of_seconds;
use caribe_packet::state::STATES;

use crate::bench::{Bench, Cases, NewServer, Side};
use crate::flow::{Flow, Net, Transport, client_mac};
use crate::frame::{
    ABORT, ACK, Body, COOKIE_ACK, COOKIE_ECHO, DATA, ERROR, FIN, Frame, INIT, INIT_ACK, PSH, RST,
    SACK, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE, SYN,
};
use crate::model::{Model, ModelServer, Schedule};
use crate::plane::{CLOCK_LAG, Plane, Sizes, now};

/// Enough that no bucket is ever full.
const SIZES: Sizes = Sizes {
    buckets: 256,
    servers: 64,
    slots: 128,
};

const PACKETS: usize = 6_000;

pub(crate) fn cases(cases: &mut Cases) {
    for seed in [1, 2, 3, 4] {
        let sent = cases.sender();
        cases.add_alone(
            format!("differential::{PACKETS} packets, seed {seed}"),
            move || {
                let mut plane = Plane::load(SIZES);
                let mut bench = Bench::new(String::new(), &mut plane, sent);
                let mut random = Random(seed);
                let mut model = table(&mut bench);
                // The model has no clock: connections expire when it says so, however slow the
                // machine is. Timeouts are tested with the states.
                bench.plane.settings.timeouts = [ticks_of_seconds(100_000); STATES];
                bench.plane.write_settings();
                for number in 0..PACKETS {
                    bench.rename(format!("seed {seed}, packet {number}"));
                    if number % 250 == 249 {
                        disturb(&mut bench, &mut model, &mut random);
                    }
                    let (side, frame) = random.frame(&model);
                    let expected = model.handle(side, &frame);
                    bench.expect(side, &frame, expected);
                }
                compare_counters(&bench, &model);
                assert!(
                    model.connections.len() > 500,
                    "{} connections",
                    model.connections.len()
                );
                bench.finish();
                Ok(())
            },
        );
    }
}

/// Services of every method and schedule over both families, in the maps and in the model.
fn table(bench: &mut Bench<'_>) -> Model {
    let mut model = Model::default();
    for net in Net::BOTH {
        let mut number = 0;
        let mut next = || {
            number += 1;
            number
        };
        let mut add = |bench: &mut Bench<'_>, new: NewServer| {
            let index = bench.server(new);
            model.servers.insert(
                index,
                ModelServer {
                    new,
                    in_service: true,
                    reachable: true,
                    active: 0,
                    inactive: 0,
                    traffic: caribe_packet::server::Traffic::default(),
                },
            );
            index
        };
        let tunnel = |outer: Net, number: u8| {
            NewServer::tunnel(outer.server(100 + number), outer.tunnel_source())
        };
        let nat: Vec<_> = (0..3)
            .map(|_| add(bench, NewServer::nat(net.server(next()), 8080)))
            .collect();
        let direct: Vec<_> = (0..3)
            .map(|_| add(bench, NewServer::direct(net.server(next()))))
            .collect();
        let front = add(
            bench,
            NewServer::nat(net.server(next()), 9090).side(Side::Front),
        );
        let kept: Vec<_> = (0..2)
            .map(|_| add(bench, NewServer::nat(net.server(next()), 0)))
            .collect();
        let over4 = add(bench, tunnel(Net::V4, next()));
        let over6 = add(bench, tunnel(Net::V6, next()).side(Side::Front).mtu(1400));
        // On no other service: replies to one client's port from one server's port would belong
        // to either.
        let alone = add(bench, NewServer::nat(net.server(next()), 8080));
        let small = add(bench, NewServer::direct(net.server(next())).mtu(600));
        let services: [(u16, u8, Schedule); 13] = [
            (80, 6, rotate(&nat, 0)),
            (
                81,
                6,
                Schedule::Least(vec![(direct[2], 1), (direct[1], 2), (direct[0], 5)]),
            ),
            (82, 6, rotate(&[over4, over6], 0)),
            (83, 6, rotate(&[front, front, over4, alone, small], 2)),
            (80, 17, rotate(&kept, 0)),
            (81, 17, Schedule::Least(vec![(over6, 1), (over4, 3)])),
            (82, 17, rotate(&[], 0)),
            (83, 17, rotate(&[small, front], 1)),
            (84, 6, Schedule::Least(vec![])),
            (80, 132, rotate(&nat, 0)),
            (81, 132, Schedule::Least(vec![(direct[0], 1), (kept[0], 2)])),
            (82, 132, rotate(&[over6, over4], 0)),
            (83, 132, rotate(&[front, alone, small], 1)),
        ];
        for (port, protocol, schedule) in services {
            let vip = (net.vip(), port);
            match &schedule {
                Schedule::Rotate {
                    run, cycle_start, ..
                } => {
                    bench.rotating_from(vip, protocol, run, *cycle_start as u32);
                }
                Schedule::Least(members) => bench.least(vip, protocol, members),
            }
            model.services.insert((net.vip(), port, protocol), schedule);
        }
    }
    model
}

fn rotate(run: &[u32], cycle_start: usize) -> Schedule {
    Schedule::Rotate {
        run: run.to_vec(),
        cycle_start,
        position: 0,
    }
}

/// Some connections expire; a server goes, comes back, or loses its next hop.
fn disturb(bench: &mut Bench<'_>, model: &mut Model, random: &mut Random) {
    for entry in bench.plane.entries() {
        if random.one_in(5) {
            let tuple = (entry.client, entry.peer, entry.protocol);
            let connection = model
                .connections
                .get_mut(&tuple)
                .expect("the model has it too");
            connection.expired = true;
            bench.plane.set_deadline(
                &entry,
                now().wrapping_sub(1 + CLOCK_LAG + random.below(1 << 20)),
            );
        }
    }
    let mut indexes: Vec<_> = model.servers.keys().copied().collect();
    indexes.sort_unstable();
    for index in indexes {
        if !random.one_in(4) {
            continue;
        }
        let server = model
            .servers
            .get_mut(&index)
            .expect("an index of the table");
        server.in_service = !random.one_in(5);
        server.reachable = !random.one_in(5);
        server.new.mtu = [1500, 1500, 1400, 600][random.below(4) as usize];
        let flags = if server.in_service { IN_SERVICE } else { 0 }
            | if server.reachable { REACHABLE } else { 0 };
        let line = bench.line_of(index, &server.new);
        let flags = flags | line.flags & !(IN_SERVICE | REACHABLE);
        bench.plane.set_server(index, Server { flags, ..line });
    }
    compare_counters(bench, model);
}

fn compare_counters(bench: &Bench<'_>, model: &Model) {
    for (index, server) in &model.servers {
        bench.expect_load(*index, server.active, server.inactive);
        assert_eq!(
            bench.plane.traffic_of(*index),
            server.traffic,
            "traffic of server {index}"
        );
    }
    assert_eq!(
        bench.plane.entries().len(),
        model.connections.len(),
        "connections"
    );
}

/// SplitMix64: the same traffic for the same seed, for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u32) -> u32 {
        (self.next() >> 32) as u32 % bound
    }

    fn one_in(&mut self, odds: u32) -> bool {
        self.below(odds) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }

    /// The next packet, and where it comes in.
    fn frame(&mut self, model: &Model) -> (Side, Frame) {
        let (side, frame) = match self.below(20) {
            0 => (Side::Front, self.unusual()),
            1..=7 if !model.order.is_empty() => self.reply(model),
            8..=11 if !model.order.is_empty() => (Side::Front, self.known(model)),
            _ => (Side::Front, self.request()),
        };
        let side = match side {
            Side::Front if self.one_in(15) => Side::Back,
            Side::Back if self.one_in(15) => Side::Front,
            same => same,
        };
        (side, self.varied(frame))
    }

    fn flow(&mut self) -> Flow {
        self.of(&Flow::ALL)
    }

    fn flags(&mut self) -> u8 {
        self.of(&[
            SYN,
            SYN,
            SYN,
            ACK,
            ACK,
            ACK | PSH,
            FIN | ACK,
            RST,
            RST | ACK,
            SYN | ACK,
            0,
        ])
    }

    /// A client's packet, to a service most of the time.
    fn request(&mut self) -> Frame {
        let flow = self.flow();
        let frame = flow.request(1 + self.below(60) as u8);
        let cport = if self.one_in(40) {
            20
        } else {
            50_000 + self.below(8) as u16
        };
        let vport = self.of(&[80, 80, 81, 82, 83, 84, 85]);
        let frame = frame.ports(cport, vport);
        self.signed(flow, frame)
    }

    /// Half of the time with other flags, or another first chunk.
    fn signed(&mut self, flow: Flow, frame: Frame) -> Frame {
        if flow.transport == Transport::Udp || self.one_in(2) {
            return frame;
        }
        if flow.is_tcp() {
            return frame.flags(self.flags());
        }
        let kinds = [
            DATA,
            INIT,
            INIT_ACK,
            SACK,
            ABORT,
            SHUTDOWN,
            SHUTDOWN_ACK,
            ERROR,
            COOKIE_ECHO,
            COOKIE_ACK,
            SHUTDOWN_COMPLETE,
        ];
        let value = vec![0x55; self.below(90) as usize];
        frame.chunks(vec![(self.of(&kinds), value)])
    }

    /// A packet of a client that is known.
    fn known(&mut self, model: &Model) -> Frame {
        let ((client, cport), (vip, vport), protocol) = self.of(&model.order);
        let flow = Flow {
            net: if client.is_ipv4() { Net::V4 } else { Net::V6 },
            transport: transport(protocol),
        };
        let frame = flow.later(last_byte(client)).ports(cport, vport);
        let frame = frame.with(|frame| {
            frame.packet.source = client;
            frame.packet.destination = vip;
        });
        self.signed(flow, frame)
    }

    /// A packet of the server of a connection, or one that merely looks like it.
    fn reply(&mut self, model: &Model) -> (Side, Frame) {
        let tuple = self.of(&model.order);
        let ((client, cport), _, protocol) = tuple;
        let connection = &model.connections[&tuple];
        if !connection.is_nat {
            return (Side::Front, self.known(model));
        }
        let flow = Flow {
            net: if client.is_ipv4() { Net::V4 } else { Net::V6 },
            transport: transport(protocol),
        };
        let (server, port) = connection.server_at;
        let frame = flow.reply(connection.server, (server, port), last_byte(client));
        let frame = frame
            .ports(port, cport)
            .with(|frame| frame.packet.destination = client);
        let frame = self.signed(flow, frame);
        let frame = match self.below(30) {
            0 => frame.ports(port ^ 1, cport),
            1 => frame.ports(port, cport ^ 1),
            2 => frame.with(|frame| frame.packet.source = flow.net.elsewhere()),
            3 => frame.with(|frame| frame.packet.destination = flow.net.client(200)),
            _ => frame,
        };
        (connection_side(model, connection.server), frame)
    }

    /// Fragments, extension headers, other protocols, senders that are no hosts.
    fn unusual(&mut self) -> Frame {
        let flow = self.flow();
        let frame = flow.request(1 + self.below(60) as u8);
        let destination = self.of(&[flow.net.vip(), flow.net.elsewhere()]);
        let kind = self.below(4);
        let protocol = self.of(&[0u8, 43, 44, 60, 50, 47, 2]);
        let fragment = self.of(&[(true, 0), (true, 3), (false, 3)]);
        frame.with(|frame| {
            frame.packet.destination = destination;
            match (kind, flow.net) {
                (0, Net::V4) => {
                    frame.packet.fragment = fragment;
                    // Later fragments are of packets whose first one never comes.
                    frame.packet.id = if fragment.1 > 0 { 0x4321 } else { 0x1234 };
                }
                (0, Net::V6) | (1, _) => {
                    frame.packet.body = Body::Raw(protocol, vec![17; 24]);
                }
                (2, Net::V4) => frame.packet.source = crate::frame::v4("224.0.0.5"),
                (2, Net::V6) => frame.packet.source = crate::frame::v6("ff02::5"),
                _ => {
                    frame.packet.body = Body::Icmp {
                        kind: 8,
                        code: 0,
                        rest: [1; 4],
                        payload: vec![9; 20],
                    };
                }
            }
        })
    }

    /// Fields that rules depend on, and fields that none may touch.
    fn varied(&mut self, frame: Frame) -> Frame {
        let [a, b, c] = [self.next(), self.next(), self.next()];
        let odds = |bits: u64, odds: u64| bits.is_multiple_of(odds);
        let payload = match self.below(12) {
            0 => Some(self.below(1460) as usize),
            1 => Some(1300 + self.below(200) as usize),
            2..=4 => Some(self.below(64) as usize),
            _ => None,
        };
        let frame = match (&frame.packet.body, payload) {
            (Body::Tcp(_) | Body::Udp(_) | Body::Sctp(_), Some(length)) => frame.payload(length),
            _ => frame,
        };
        frame.with(|frame| {
            let is_ipv4 = frame.packet.source.is_ipv4();
            if odds(a, 20) {
                frame.source = client_mac(100 + (a >> 40) as u8 % 8);
            }
            frame.packet.service = if odds(a >> 8, 3) { (a >> 16) as u8 } else { 0 };
            frame.packet.id = (a >> 32) as u16;
            frame.packet.label = (a >> 44) as u32;
            frame.packet.ttl = match b % 40 {
                0 => 0,
                1 => 1,
                2 => 2,
                3 => 255,
                _ => 64,
            };
            frame.packet.do_not_fragment = !odds(b >> 8, 5) && frame.packet.fragment == (false, 0);
            if is_ipv4 && odds(b >> 16, 25) {
                frame.packet.options = vec![1; 4 * (1 + (b >> 24) as usize % 10)];
            }
            if odds(c, 25) {
                frame.padding = vec![0xa5; (c >> 8) as usize % 20];
            }
            let error = if odds(c >> 16, 40) {
                (c >> 24) as u16
            } else {
                0
            };
            match &mut frame.packet.body {
                Body::Tcp(tcp) => {
                    tcp.sequence = (c >> 20) as u32;
                    tcp.checksum_error = error;
                }
                Body::Sctp(sctp) => sctp.checksum_error = u32::from(error) << 3,
                Body::Udp(udp) => {
                    udp.with_checksum = !(is_ipv4 && odds(c >> 40, 8));
                    if udp.with_checksum {
                        udp.checksum_error = error;
                    }
                }
                _ => {}
            }
        })
    }
}

/// The protocol with a number.
fn transport(number: u8) -> Transport {
    match number {
        6 => Transport::Tcp,
        17 => Transport::Udp,
        _ => Transport::Sctp,
    }
}

/// Where a server is.
fn connection_side(model: &Model, server: u32) -> Side {
    model.servers[&server].new.side
}

fn last_byte(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    }
}
