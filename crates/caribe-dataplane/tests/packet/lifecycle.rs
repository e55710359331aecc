//! The states of a connection, their timeouts, and whether they count as active: the lifecycles
//! of IPVS step by step, then every cell of its tables.

use std::net::IpAddr;

use caribe_packet::connection::REPLIED;
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, NewServer, Side};
use crate::flow::{CPORT, Flow, Net, TCP6, Transport, UDP6, VPORT};
use crate::frame::{ACK, FIN, PSH, RST, SYN};
use crate::plane::{CLOCK_LAG, Entry, now};

/// Names as `ipvsadm -Lnc` prints them, by number, and idle timeouts in seconds.
const STATES: [(&str, u32); 12] = [
    ("NONE", 2),
    ("ESTABLISHED", 900),
    ("SYN_SENT", 120),
    ("SYN_RECV", 60),
    ("FIN_WAIT", 120),
    ("TIME_WAIT", 120),
    ("CLOSE", 10),
    ("CLOSE_WAIT", 60),
    ("LAST_ACK", 30),
    ("LISTEN", 120),
    ("SYNACK", 120),
    ("UDP", 300),
];

/// IPVS's tables as they are published: a row per event, a column per state before.
pub(crate) const INPUT: [(u8, &str); 4] = [
    (SYN, "SR ES ES SR SR SR SR SR SR SR SR"),
    (FIN, "CL CW SS TW TW TW CL CW LA LI TW"),
    (ACK, "ES ES SS ES FW TW CL CW CL LI ES"),
    (RST, "CL CL CL SR CL CL CL CL LA LI SR"),
];
pub(crate) const OUTPUT: [(u8, &str); 4] = [
    (SYN, "SS ES SS SR SS SS SS SS SS LI SR"),
    (FIN, "TW FW SS TW FW TW CL TW LA LI TW"),
    (ACK, "ES ES SS ES FW TW CL CW LA ES ES"),
    (RST, "CL CL SS CL CL TW CL CL CL CL CL"),
];
pub(crate) const INPUT_ONLY: [(u8, &str); 4] = [
    (SYN, "SR ES ES SR SR SR SR SR SR SR SR"),
    (FIN, "CL FW SS TW FW TW CL CW LA LI TW"),
    (ACK, "ES ES SS ES FW TW CL CW CL LI ES"),
    (RST, "CL CL CL SR CL CL CL CL LA LI CL"),
];

const CODES: [&str; 11] = [
    "NO", "ES", "SS", "SR", "FW", "TW", "CL", "CW", "LA", "LI", "SA",
];

/// Who sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
}
use Sender::{Client, Server};

/// A step: who sends which flags, the state and the timeout after it, active or not.
type Step = (Sender, u8, &'static str, u32, bool);

pub(crate) fn cases(cases: &mut Cases) {
    let nat: [(&str, &[Step]); 6] = [
        (
            "case_104 client closes first",
            &[
                (Client, SYN, "SYN_RECV", 60, true),
                (Server, SYN | ACK, "SYN_RECV", 60, true),
                (Client, ACK, "ESTABLISHED", 900, true),
                (Client, ACK | PSH, "ESTABLISHED", 900, true),
                (Server, ACK, "ESTABLISHED", 900, true),
                (Client, FIN | ACK, "CLOSE_WAIT", 60, false),
                (Server, ACK, "CLOSE_WAIT", 60, false),
                (Server, FIN | ACK, "TIME_WAIT", 120, false),
                (Client, ACK, "TIME_WAIT", 120, false),
            ],
        ),
        (
            "server closes first",
            &[
                (Client, SYN, "SYN_RECV", 60, true),
                (Server, SYN | ACK, "SYN_RECV", 60, true),
                (Client, ACK, "ESTABLISHED", 900, true),
                (Server, FIN | ACK, "FIN_WAIT", 120, false),
                (Client, ACK, "FIN_WAIT", 120, false),
                (Client, FIN | ACK, "TIME_WAIT", 120, false),
                (Server, ACK, "TIME_WAIT", 120, false),
            ],
        ),
        (
            "case_108 client resets",
            &[
                (Client, SYN, "SYN_RECV", 60, true),
                (Server, SYN | ACK, "SYN_RECV", 60, true),
                (Client, ACK, "ESTABLISHED", 900, true),
                (Client, RST, "CLOSE", 10, false),
            ],
        ),
        (
            "server refuses",
            &[
                (Client, SYN, "SYN_RECV", 60, true),
                (Server, RST | ACK, "CLOSE", 10, false),
                (Client, SYN, "SYN_RECV", 60, true),
            ],
        ),
        (
            "a new start in time-wait",
            &[
                (Client, SYN, "SYN_RECV", 60, true),
                (Client, ACK, "ESTABLISHED", 900, true),
                (Client, FIN | ACK, "CLOSE_WAIT", 60, false),
                (Server, FIN | ACK, "TIME_WAIT", 120, false),
                (Client, SYN, "SYN_RECV", 60, true),
                (Client, ACK, "ESTABLISHED", 900, true),
            ],
        ),
        (
            "a packet without flags",
            &[
                (Client, SYN, "SYN_RECV", 60, true),
                (Client, ACK, "ESTABLISHED", 900, true),
                (Client, 0, "CLOSE", 10, false),
            ],
        ),
    ];
    let one_way: [(&str, &[Step]); 4] = [
        (
            "case_105 open to close",
            &[
                (Client, SYN, "SYN_RECV", 60, true),
                (Client, ACK, "ESTABLISHED", 900, true),
                (Client, ACK | PSH, "ESTABLISHED", 900, true),
                (Client, FIN | ACK, "FIN_WAIT", 120, false),
                (Client, ACK, "FIN_WAIT", 120, false),
            ],
        ),
        (
            "case_108 client resets",
            &[
                (Client, SYN, "SYN_RECV", 60, true),
                (Client, ACK, "ESTABLISHED", 900, true),
                (Client, RST, "CLOSE", 10, false),
            ],
        ),
        (
            "syn repeated",
            &[
                (Client, SYN, "SYN_RECV", 60, true),
                (Client, SYN, "SYN_RECV", 60, true),
                (Client, ACK, "ESTABLISHED", 900, true),
                (Client, SYN, "ESTABLISHED", 900, true),
            ],
        ),
        (
            "fin before the handshake is over",
            &[
                (Client, SYN, "SYN_RECV", 60, true),
                (Client, FIN | ACK, "TIME_WAIT", 120, false),
                (Client, ACK, "TIME_WAIT", 120, false),
            ],
        ),
    ];
    for flow in Flow::TCP {
        for (name, steps) in nat {
            cases.add(
                format!("lifecycle::nat, {name} {}", flow.name()),
                move |bench| {
                    let stage = Stage::new(bench, flow, true);
                    stage.play(bench, steps);
                },
            );
        }
        for (name, steps) in one_way {
            cases.add(
                format!("lifecycle::direct routing, {name} {}", flow.name()),
                move |bench| {
                    let stage = Stage::new(bench, flow, false);
                    stage.play(bench, steps);
                },
            );
        }
        for (name, is_nat, from, table) in [
            ("input", true, Client, INPUT),
            ("output", true, Server, OUTPUT),
            ("input only", false, Client, INPUT_ONLY),
        ] {
            cases.add(
                format!("lifecycle::every cell of {name} {}", flow.name()),
                move |bench| {
                    let stage = Stage::new(bench, flow, is_nat);
                    stage.send(bench, Client, SYN);
                    let entry = bench.only_entry();
                    for (flags, row) in table {
                        for (before, after) in row.split(' ').enumerate() {
                            stage.cell(bench, &entry, (from, flags), (before as u8, code(after)));
                        }
                    }
                },
            );
            cases.add(
                format!("lifecycle::which flag counts, {name} {}", flow.name()),
                move |bench| {
                    let stage = Stage::new(bench, flow, is_nat);
                    stage.send(bench, Client, SYN);
                    let entry = bench.only_entry();
                    for flags in 0..=255 {
                        let first = [RST, SYN, FIN, ACK]
                            .into_iter()
                            .find(|one| flags & one != 0);
                        for before in [1, 3, 4, 5] {
                            let after = match first {
                                Some(first) => cell_of(&table, first, before),
                                None => code("CL"),
                            };
                            stage.cell(bench, &entry, (from, flags), (before, after));
                        }
                    }
                },
            );
        }
        cases.add(
            format!(
                "lifecycle::case_106 timeouts set by the user {}",
                flow.name()
            ),
            move |bench| {
                // ipvsadm --set 10 20 30: established, FIN wait, UDP.
                bench.plane.settings.timeouts[1] = ticks(10);
                bench.plane.settings.timeouts[4] = ticks(20);
                bench.plane.settings.timeouts[11] = ticks(30);
                bench.plane.write_settings();
                let stage = Stage::new(bench, flow, false);
                stage.play(
                    bench,
                    &[
                        (Client, SYN, "SYN_RECV", 60, true),
                        (Client, ACK, "ESTABLISHED", 10, true),
                        (Client, FIN | ACK, "FIN_WAIT", 20, false),
                    ],
                );
                let udp = Flow {
                    transport: Transport::Udp,
                    ..flow
                };
                bench.rotating(udp.vip(), udp.number(), &[stage.index]);
                let start = now();
                bench.send(Side::Front, 0, &udp.request(1).bytes());
                let entry = entry_of(bench, udp);
                assert_deadline(&entry, start, 30, 0);
            },
        );
    }
    for flow in Flow::UDP {
        for is_nat in [true, false] {
            let method = if is_nat { "nat" } else { "direct routing" };
            cases.add(
                format!("lifecycle::case_107 {method} {}", flow.name()),
                move |bench| {
                    let stage = Stage::new(bench, flow, is_nat);
                    let start = now();
                    stage.send(bench, Client, 0);
                    let entry = entry_of(bench, flow);
                    assert_eq!(entry.state, 11);
                    assert_deadline(&entry, start, 300, 0);
                    bench.expect_load(stage.index, 0, 1);
                    // Either direction refreshes it, if it is seen.
                    for from in if is_nat {
                        &[Client, Server][..]
                    } else {
                        &[Client]
                    } {
                        bench
                            .plane
                            .set_deadline(&entry, now().wrapping_add(ticks(10)));
                        let start = now();
                        stage.send(bench, *from, 0);
                        let entry = entry_of(bench, flow);
                        assert_eq!(entry.state, 11);
                        assert_deadline(&entry, start, 300, 0);
                        bench.expect_load(stage.index, 0, 1);
                    }
                },
            );
        }
    }
    cases.add(
        "lifecycle::a tunnel's connection is seen one way only",
        |bench| {
            let flow = Flow {
                net: Net::V4,
                transport: Transport::Tcp,
            };
            let server = NewServer::tunnel(Net::V4.server(7), Net::V4.tunnel_source());
            let index = bench.server(server);
            bench.rotating(flow.vip(), 6, &[index]);
            let stage = Stage {
                flow,
                index,
                server: (Net::V4.server(7), VPORT),
            };
            stage.play(
                bench,
                &[
                    (Client, SYN, "SYN_RECV", 60, true),
                    (Client, ACK, "ESTABLISHED", 900, true),
                    (Client, FIN | ACK, "FIN_WAIT", 120, false),
                ],
            );
        },
    );
    cases.add("lifecycle::flags in the table are those of ipvs", |bench| {
        for (is_tcp, is_nat, flags) in [
            // Masquerade is 0; direct routing is 3 with NOOUTPUT; UDP is always inactive.
            (true, true, 0x0000),
            (true, false, 0x0083),
            (false, true, 0x0100),
            (false, false, 0x0183),
        ] {
            let flow = if is_tcp { TCP6 } else { UDP6 };
            bench.plane.reset();
            let stage = Stage::new(bench, flow, is_nat);
            let _ = bench
                .plane
                .run("director", bench.plane.front, 0, &flow.request(1).bytes());
            assert_eq!(bench.only_entry().flags, flags, "{flow:?}, NAT: {is_nat}");
            assert_eq!(bench.only_entry().server, stage.index);
            bench.plane.reset();
        }
    });
}

/// A service on one server.
struct Stage {
    flow: Flow,
    index: u32,
    server: (IpAddr, u16),
}

impl Stage {
    fn new(bench: &mut Bench<'_>, flow: Flow, is_nat: bool) -> Stage {
        let address = flow.net.server(7);
        let new = if is_nat {
            NewServer::nat(address, 8080)
        } else {
            NewServer::direct(address)
        };
        let index = bench.server(new);
        bench.rotating(flow.vip(), flow.number(), &[index]);
        Stage {
            flow,
            index,
            server: (address, if is_nat { 8080 } else { VPORT }),
        }
    }

    /// Sends a packet, which must be forwarded.
    fn send(&self, bench: &mut Bench<'_>, from: Sender, flags: u8) {
        let frame = match from {
            Client => self.flow.request(1),
            Server => self.flow.reply(self.index, self.server, 1),
        };
        let frame = if self.flow.is_tcp() {
            frame.flags(flags)
        } else {
            frame
        };
        let side = if from == Client {
            Side::Front
        } else {
            Side::Back
        };
        let (verdict, _, _) = bench.send(side, 0, &frame.bytes());
        let forwarded = match from {
            Client => matches!(
                verdict,
                Verdict::ForwardedNat | Verdict::ForwardedDirect | Verdict::ForwardedTunnel
            ),
            Server => verdict == Verdict::ForwardedReply,
        };
        assert!(forwarded, "{from:?} sent {flags:#04x}: {}", verdict.name());
    }

    fn play(&self, bench: &mut Bench<'_>, steps: &[Step]) {
        let mut before = None;
        for (at, (from, flags, state, seconds, is_active)) in steps.iter().enumerate() {
            let start = now();
            self.send(bench, *from, *flags);
            let entry = entry_of(bench, self.flow);
            let step = format!("step {at}: {from:?} sent {flags:#04x}");
            assert_eq!(STATES[usize::from(entry.state)].0, *state, "{step}");
            // Only a change of state moves the deadline at once.
            let slack = if before == Some(entry.state) { 64 } else { 0 };
            assert_deadline(&entry, start, *seconds, slack);
            let (active, inactive) = if *is_active { (1, 0) } else { (0, 1) };
            bench.expect_load(self.index, active, inactive);
            assert_eq!(
                entry.flags & 0x0100 == 0,
                *is_active,
                "{step}: the INACTIVE flag"
            );
            before = Some(entry.state);
        }
    }

    /// Puts the connection into a state, sends a packet, and looks at what it is in then.
    fn cell(
        &self,
        bench: &mut Bench<'_>,
        entry: &Entry,
        (from, flags): (Sender, u8),
        (before, after): (u8, u8),
    ) {
        let inactive = |state: u8| if active(state) { 0 } else { 0x0100 };
        let other_flags = entry.flags & !0x0100;
        // Timeouts of 1000 s and more would not fit the state: a moved deadline shows.
        let deadline = now().wrapping_add(ticks(1000));
        bench
            .plane
            .set_meta(entry, before, other_flags | inactive(before), deadline);
        bench.plane.set_load(self.index, 1000, 1000);
        let start = now();
        self.send(bench, from, flags);
        let entry = bench.plane.look_again(entry);
        let cell = format!(
            "{from:?} sends {flags:#04x} in {}",
            STATES[usize::from(before)].0
        );
        assert_eq!(
            STATES[usize::from(entry.state)].0,
            STATES[usize::from(after)].0,
            "{cell}"
        );
        assert_deadline(&entry, start, STATES[usize::from(after)].1, 0);
        let replied = match from {
            Sender::Server => REPLIED,
            _ => 0,
        };
        assert_eq!(
            entry.flags,
            other_flags | replied | inactive(after),
            "{cell}: flags"
        );
        match (active(before), active(after)) {
            (true, false) => bench.expect_load(self.index, 999, 1001),
            (false, true) => bench.expect_load(self.index, 1001, 999),
            _ => bench.expect_load(self.index, 1000, 1000),
        }
    }
}

/// The connection of the usual client.
fn entry_of(bench: &Bench<'_>, flow: Flow) -> Entry {
    bench
        .plane
        .entries()
        .into_iter()
        .find(|entry| {
            entry.client == (flow.net.client(1), CPORT)
                && entry.peer == flow.vip()
                && entry.protocol == flow.number()
        })
        .expect("the connection is in the table")
}

/// Asserts that the deadline is `seconds` after a packet that was sent since `start`.
pub(crate) fn assert_deadline(entry: &Entry, start: u32, seconds: u32, slack: u32) {
    let earliest = start
        .wrapping_add(ticks(seconds))
        .wrapping_sub(slack + CLOCK_LAG);
    let latest = now().wrapping_add(ticks(seconds));
    assert!(
        entry.deadline.wrapping_sub(earliest) as i32 >= 0
            && latest.wrapping_sub(entry.deadline) as i32 >= 0,
        "the deadline of {seconds} s in state {} is {}, not within {earliest} to {latest}",
        entry.state,
        entry.deadline,
    );
}

/// Seconds in units of 2^20 nanoseconds, rounded up.
fn ticks(seconds: u32) -> u32 {
    (f64::from(seconds) * 1e9 / f64::from(1 << 20)).ceil() as u32
}

/// ESTABLISHED, SYN_SENT, SYN_RECV and SYNACK count as active.
pub(crate) fn active(state: u8) -> bool {
    matches!(state, 1 | 2 | 3 | 10)
}

/// The number of a state by its code in the tables.
pub(crate) fn code(code: &str) -> u8 {
    CODES
        .iter()
        .position(|one| *one == code)
        .expect("a code of the tables") as u8
}

/// The state after the packet of a row, from the state of a column.
pub(crate) fn cell_of(table: &[(u8, &str); 4], flag: u8, before: u8) -> u8 {
    let (_, row) = table
        .iter()
        .find(|(one, _)| *one == flag)
        .expect("a row per flag");
    code(
        row.split(' ')
            .nth(usize::from(before))
            .expect("a column per state"),
    )
}
