//! Clients and their packets.

use crate::network::VIPS;
use crate::random::Random;
use crate::scenario::{Chunk, Flags, Flow, Packet, Protocol, Step};

use super::table::Table;

/// Connections that were begun.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    flows: Vec<Flow>,
    last_port: u16,
}

impl Traffic {
    /// New connections in a row to one service: what shows a scheduler's sequence.
    pub(super) fn burst(&mut self, random: &mut Random, table: &Table, steps: &mut Vec<Step>) {
        let Some(first) = self.flow(random, table) else {
            return;
        };
        let many_clients = random.once_in(2);
        for number in 0..random.between(3, 12) {
            let mut flow = Flow {
                client_port: self.next_port(),
                ..first
            };
            if many_clients {
                // Of 250 clients.
                flow.client = (usize::from(first.client) + number * 7) as u8 % 250 + 1;
            }
            open(flow, steps);
            self.flows.push(flow);
        }
    }

    /// One connection, opened as far as it goes.
    pub(super) fn connect(&mut self, random: &mut Random, table: &Table, steps: &mut Vec<Step>) {
        let Some(flow) = self.flow(random, table) else {
            return;
        };
        self.flows.push(flow);
        open(flow, steps);
        match flow.protocol {
            Protocol::Udp => steps.push(Step::Server(flow, data(random))),
            Protocol::Sctp => {
                if !random.once_in(4) {
                    steps.push(Step::Server(flow, Packet::of_chunk(Chunk::InitAck)));
                }
                steps.push(Step::Client(flow, Packet::of_chunk(Chunk::CookieEcho)));
                if !random.once_in(4) {
                    steps.push(Step::Server(flow, Packet::of_chunk(Chunk::CookieAck)));
                }
                if random.once_in(2) {
                    steps.push(Step::Client(flow, data(random)));
                }
            }
            Protocol::Tcp => {
                if !random.once_in(4) {
                    steps.push(Step::Server(flow, Packet::new(Flags::SYN_ACK)));
                }
                steps.push(Step::Client(flow, Packet::new(Flags::ACK)));
                if random.once_in(2) {
                    steps.push(Step::Client(flow, data(random)));
                }
            }
        }
    }

    /// Something on a connection that was begun.
    pub(super) fn go_on(&self, random: &mut Random, steps: &mut Vec<Step>) {
        if self.flows.is_empty() {
            return;
        }
        let flow = *random.one(&self.flows);
        if flow.protocol == Protocol::Udp {
            let packet = data(random);
            steps.push(if random.once_in(2) {
                Step::Client(flow, packet)
            } else {
                Step::Server(flow, packet)
            });
            return;
        }
        if flow.protocol == Protocol::Sctp {
            return go_on_sctp(flow, random, steps);
        }
        let end = Packet::new(Flags::FIN_ACK);
        let acknowledge = Packet::new(Flags::ACK);
        match random.below(8) {
            0 => {
                steps.push(Step::Client(flow, end));
                steps.push(Step::Server(flow, end));
                steps.push(Step::Client(flow, acknowledge));
            }
            1 => {
                steps.push(Step::Server(flow, end));
                steps.push(Step::Client(flow, acknowledge));
            }
            2 => steps.push(Step::Client(flow, end)),
            3 => steps.push(Step::Client(flow, Packet::new(Flags::RST))),
            4 => steps.push(Step::Server(flow, Packet::new(Flags::RST))),
            // The port is used again, or the first packet is sent again.
            5 => steps.push(Step::Client(flow, Packet::new(Flags::SYN))),
            6 => steps.push(Step::Server(flow, data(random))),
            _ => steps.push(Step::Client(flow, data(random))),
        }
    }

    /// A packet that is not what a director waits for.
    pub(super) fn stray(&mut self, random: &mut Random, table: &Table, steps: &mut Vec<Step>) {
        let Some(flow) = self.flow(random, table) else {
            return;
        };
        let flags = [
            Flags::ACK,
            Flags::FIN_ACK,
            Flags::SYN_ACK,
            Flags::RST,
            Flags::NONE,
        ];
        let packet = match random.below(4) {
            0 => Packet {
                ttl: 1,
                ..opening(flow.protocol)
            },
            1 => {
                // To where no service may be.
                let flow = Flow {
                    vip: random.below(VIPS.into()) as u8,
                    port: 81,
                    ..flow
                };
                steps.push(Step::Client(flow, opening(flow.protocol)));
                return;
            }
            2 => {
                // FTP's data connections begin there.
                let flow = Flow {
                    client_port: 20,
                    ..flow
                };
                steps.push(Step::Client(flow, opening(flow.protocol)));
                return;
            }
            _ => Packet {
                chunk: *random.one(&Chunk::ALL),
                ..Packet::new(*random.one(&flags))
            },
        };
        steps.push(Step::Client(flow, packet));
        if flow.protocol == Protocol::Sctp && packet.chunk == Chunk::Init {
            // See `open`.
            steps.push(Step::Client(flow, opening(flow.protocol)));
        }
    }

    /// A new flow to one of the services.
    fn flow(&mut self, random: &mut Random, table: &Table) -> Option<Flow> {
        if table.services.is_empty() {
            return None;
        }
        let service = random.one(&table.services);
        let end = *random.one(&service.ends);
        // Some clients come again and again: persistence and hashes are about them.
        let client = if random.once_in(2) {
            random.between(1, 250)
        } else {
            *random.one(&[7, 9, 23])
        };
        Some(Flow {
            family: service.family,
            protocol: end.protocol,
            client: client as u8,
            client_port: self.next_port(),
            vip: end.vip,
            port: end.port,
        })
    }

    fn next_port(&mut self) -> u16 {
        self.last_port = self.last_port.max(1023) + 1;
        self.last_port
    }
}

/// Opens a connection. An INIT is sent again at once: what was sent once alone would be over in
/// four seconds, on two clocks that do not go alike.
fn open(flow: Flow, steps: &mut Vec<Step>) {
    let times = if flow.protocol == Protocol::Sctp {
        2
    } else {
        1
    };
    for _ in 0..times {
        steps.push(Step::Client(flow, opening(flow.protocol)));
    }
}

/// Some chunk from either end of an association, sense or nonsense. A server opens none, as what
/// is refused then lives for four seconds, too.
fn go_on_sctp(flow: Flow, random: &mut Random, steps: &mut Vec<Step>) {
    let chunk = *random.one(&Chunk::ALL);
    let packet = if random.once_in(3) {
        data(random)
    } else {
        Packet::of_chunk(chunk)
    };
    match (random.once_in(2), packet.chunk) {
        (true, Chunk::Init) => open(flow, steps),
        (true, Chunk::InitAck) | (false, Chunk::Init) => {}
        (true, _) => steps.push(Step::Client(flow, packet)),
        (false, _) => steps.push(Step::Server(flow, packet)),
    }
}

/// What begins a connection.
fn opening(protocol: Protocol) -> Packet {
    match protocol {
        Protocol::Tcp => Packet::new(Flags::SYN),
        Protocol::Udp => Packet::new(Flags::NONE).payload(12),
        Protocol::Sctp => Packet::of_chunk(Chunk::Init).payload(16),
    }
}

fn data(random: &mut Random) -> Packet {
    let payload = *random.one(&[0, 1, 100, 1000]);
    Packet {
        tos: *random.one(&[0, 0, 0x10, 0xb8, 0x02, 0x03]),
        dont_fragment: !random.once_in(3),
        ttl: *random.one(&[64, 64, 128, 2]),
        ..Packet::new(Flags::ACK).payload(payload)
    }
}
