//! The states of an SCTP association, their timeouts, and whether they count as active: IPVS's
//! lifecycles step by step, then every cell of its tables.

use caribe_packet::connection::REPLIED;

use crate::bench::{Bench, Cases};
use crate::flow::Net;
use crate::frame::{
    ABORT, COOKIE_ACK, COOKIE_ECHO, DATA, ERROR, HEARTBEAT, INIT, INIT_ACK, SACK, SHUTDOWN,
    SHUTDOWN_ACK, SHUTDOWN_COMPLETE,
};
use crate::plane::now;
use crate::sctp::Stage;

/// Names as `ipvsadm -Lnc` prints them, by IPVS's number, and idle timeouts in seconds.
const STATES: [(&str, u32); 14] = [
    ("NONE", 2),
    ("INIT1", 4),
    ("INIT", 61),
    ("C-SENT", 61),
    ("C-REPLIED", 61),
    ("C-WAIT", 61),
    ("COOKIE", 61),
    ("C-ECHOED", 61),
    ("ESTABLISHED", 900),
    ("S-SENT", 61),
    ("S-RECEIVED", 61),
    ("S-ACK-SENT", 61),
    ("REJECTED", 4),
    ("CLOSED", 61),
];
pub(crate) const ESTABLISHED: u8 = 8;

const CODES: [&str; 14] = [
    "NO", "I1", "IN", "CS", "CR", "CW", "CO", "CE", "ES", "SS", "SR", "SA", "RJ", "CL",
];

/// A table: a row per kind of a first chunk, a column per state before.
pub(crate) type Table = [(u8, &'static str); 10];

/// IPVS's tables as they are published.
pub(crate) const INPUT: Table = [
    (DATA, "ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL"),
    (INIT, "I1 IN IN CS CR CW CO CE ES SS SR SA IN IN"),
    (INIT_ACK, "CW CW CW CS CR CO CO CE ES SS SR SA RJ CL"),
    (COOKIE_ECHO, "CR IN IN CR CR CW CO CE ES SS SR SA RJ CL"),
    (COOKIE_ACK, "ES I1 IN CS CR CW CO ES ES SS SR SA RJ CL"),
    (SHUTDOWN, "SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL"),
    (SHUTDOWN_ACK, "CL IN IN CS CR CW CO CE ES CL SR CL RJ CL"),
    (
        SHUTDOWN_COMPLETE,
        "CL CL CL CS CR CW CO CE ES SS SR CL RJ CL",
    ),
    (ERROR, "CL I1 IN CS CR CW CO CL ES SS SR SA RJ CL"),
    (ABORT, "CL CL CL CL CL RJ CL CL CL CL CL CL CL CL"),
];
pub(crate) const OUTPUT: Table = [
    (DATA, "ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL"),
    (INIT, "CW CW CW CW CW CW CW CW ES CW CW CW CW CW"),
    (INIT_ACK, "CS CS CS CS CR CW CO CE ES SS SR SA RJ CL"),
    (COOKIE_ECHO, "CE CE CE CE CE CE CE CE ES SS SR SA RJ CL"),
    (COOKIE_ACK, "ES ES ES ES ES ES ES ES ES SS SR SA RJ CL"),
    (SHUTDOWN, "SS SS SS SS SS SS SS SS SS SS SR SA RJ CL"),
    (SHUTDOWN_ACK, "SA SA SA SA SA CW CO CE ES SA SA SA RJ CL"),
    (
        SHUTDOWN_COMPLETE,
        "CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL",
    ),
    (ERROR, "CL CL CL CL CL CW CO CE ES SS SR SA RJ CL"),
    (ABORT, "CL RJ CL CL CL CL CL CL CL CL CL CL CL CL"),
];
pub(crate) const INPUT_ONLY: Table = [
    (DATA, "ES I1 IN CS CR ES CO CE ES SS SR SA RJ CL"),
    (INIT, "I1 IN IN IN IN IN CO CE ES SS SR SA IN IN"),
    (INIT_ACK, "CE CE CE CE CE CE CO CE ES SS SR SA RJ CL"),
    (COOKIE_ECHO, "ES ES ES ES ES ES CO CE ES SS SR SA RJ CL"),
    (COOKIE_ACK, "ES I1 IN ES ES CW ES ES ES SS SR SA RJ CL"),
    (SHUTDOWN, "SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL"),
    (SHUTDOWN_ACK, "CL IN IN CS CR CW CO CE CL CL SR CL RJ CL"),
    (
        SHUTDOWN_COMPLETE,
        "CL CL CL CL CL CW CO CE ES SS CL CL RJ CL",
    ),
    (ERROR, "CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL"),
    (ABORT, "CL CL CL CL CL RJ CL CL CL CL CL CL CL CL"),
];

/// A step: whether the client sends it, the first chunk, the state after it.
type Step = (bool, u8, &'static str);

/// Steps that an association goes by NAT.
const NAT: [(&str, &[Step]); 4] = [
    (
        "case_135 open, talk, close",
        &[
            (true, INIT, "INIT1"),
            (false, INIT_ACK, "C-SENT"),
            (true, COOKIE_ECHO, "C-REPLIED"),
            (false, COOKIE_ACK, "ESTABLISHED"),
            (true, DATA, "ESTABLISHED"),
            (false, SACK, "ESTABLISHED"),
            (true, HEARTBEAT, "ESTABLISHED"),
            (true, SHUTDOWN, "S-RECEIVED"),
            (false, SHUTDOWN_ACK, "S-ACK-SENT"),
            (true, SHUTDOWN_COMPLETE, "CLOSED"),
        ],
    ),
    (
        "server closes first",
        &[
            (true, INIT, "INIT1"),
            (false, INIT_ACK, "C-SENT"),
            (true, COOKIE_ECHO, "C-REPLIED"),
            (false, COOKIE_ACK, "ESTABLISHED"),
            (false, SHUTDOWN, "S-SENT"),
            (true, SHUTDOWN_ACK, "CLOSED"),
            (false, SHUTDOWN_COMPLETE, "CLOSED"),
        ],
    ),
    (
        "server refuses",
        &[(true, INIT, "INIT1"), (false, ABORT, "REJECTED")],
    ),
    (
        "init sent again",
        &[
            (true, INIT, "INIT1"),
            (true, INIT, "INIT"),
            (false, INIT_ACK, "C-SENT"),
        ],
    ),
];

/// Steps that are seen from one side only.
const ONE_WAY: [(&str, &[Step]); 2] = [
    (
        "open, talk, close",
        &[
            (true, INIT, "INIT1"),
            (true, COOKIE_ECHO, "ESTABLISHED"),
            (true, DATA, "ESTABLISHED"),
            (true, SHUTDOWN, "S-RECEIVED"),
            (true, SHUTDOWN_COMPLETE, "CLOSED"),
        ],
    ),
    (
        "client aborts",
        &[
            (true, INIT, "INIT1"),
            (true, COOKIE_ECHO, "ESTABLISHED"),
            (true, ABORT, "CLOSED"),
        ],
    ),
];

pub(crate) fn cases(cases: &mut Cases) {
    for net in Net::BOTH {
        for (is_nat, method, lives) in [
            (true, "nat", &NAT[..]),
            (false, "direct routing", &ONE_WAY[..]),
        ] {
            for (name, steps) in lives {
                let name = format!("sctp_states::{method}, {name} {}", net.name());
                cases.add(name, move |bench| play(bench, net, is_nat, steps));
            }
        }
        for (name, is_nat, by_client, table) in [
            ("input", true, true, INPUT),
            ("output", true, false, OUTPUT),
            ("input only", false, true, INPUT_ONLY),
        ] {
            cases.add(
                format!("sctp_states::every cell of {name} {}", net.name()),
                move |bench| every_cell(bench, net, is_nat, by_client, &table),
            );
        }
        cases.add(
            format!("sctp_states::kinds that are no steps {}", net.name()),
            move |bench| {
                let stage = Stage::new(bench, net, true);
                let steps = NAT[0].1[..4].iter();
                for (by_client, kind, _) in steps {
                    stage.send(bench, *by_client, &[*kind]);
                }
                // 12 and 13 are ECNE and CWR; 192 and 193 FORWARD TSN and ASCONF.
                for kind in [DATA, SACK, HEARTBEAT, 5, 12, 13, 15, 63, 128, 192, 193, 255] {
                    for by_client in [true, false] {
                        stage.send(bench, by_client, &[kind]);
                        let state = bench.only_entry().state;
                        assert_eq!(state, 16 + ESTABLISHED, "chunk {kind}");
                    }
                }
            },
        );
        cases.add(
            format!("sctp_states::abort behind a cookie {}", net.name()),
            move |bench| {
                let stage = Stage::new(bench, net, true);
                stage.send(bench, true, &[INIT]);
                let entry = bench.only_entry();
                for (chunks, state) in [
                    (&[COOKIE_ECHO, ABORT][..], "CLOSED"),
                    (&[COOKIE_ACK, ABORT], "CLOSED"),
                    // Only the second chunk counts, and only behind a cookie.
                    (&[COOKIE_ACK, DATA, ABORT], "ESTABLISHED"),
                    (&[COOKIE_ECHO, DATA], "ESTABLISHED"),
                    (&[SACK, ABORT], "ESTABLISHED"),
                ] {
                    let deadline = now().wrapping_add(1000);
                    let flags = entry.flags & !0x0100;
                    let before = 16 + ESTABLISHED;
                    bench.plane.set_meta(&entry, before, flags, deadline);
                    stage.send(bench, true, chunks);
                    let after = bench.plane.look_again(&entry).state - 16;
                    assert_eq!(STATES[usize::from(after)].0, state, "{chunks:?}");
                }
            },
        );
    }
}

/// The number of a state by its code in the tables.
pub(crate) fn code(code: &str) -> u8 {
    let at = CODES.iter().position(|one| *one == code);
    at.expect("a code of the tables") as u8
}

/// The state after a packet with a first chunk of a kind; kinds without a row are data.
pub(crate) fn cell_of(table: &Table, kind: u8, before: u8) -> u8 {
    let row = table.iter().find(|(one, _)| *one == kind);
    let (_, row) = row.unwrap_or(&table[0]);
    let cell = row.split(' ').nth(usize::from(before));
    code(cell.expect("a column per state"))
}

fn play(bench: &mut Bench<'_>, net: Net, is_nat: bool, steps: &[Step]) {
    let stage = Stage::new(bench, net, is_nat);
    let mut before = None;
    for (at, (by_client, kind, state)) in steps.iter().enumerate() {
        let start = now();
        stage.send(bench, *by_client, &[*kind]);
        let entry = bench.only_entry();
        let (name, seconds) = STATES[usize::from(entry.state - 16)];
        assert_eq!(name, *state, "step {at}: chunk {kind}");
        // Only a change of state moves the deadline at once.
        let slack = if before == Some(entry.state) { 64 } else { 0 };
        crate::lifecycle::assert_deadline(&entry, start, seconds, slack);
        let active = u32::from(entry.state == 16 + ESTABLISHED);
        bench.expect_load(stage.index, active, 1 - active);
        before = Some(entry.state);
    }
}

fn every_cell(bench: &mut Bench<'_>, net: Net, is_nat: bool, by_client: bool, table: &Table) {
    let stage = Stage::new(bench, net, is_nat);
    // Bit 1 of `conn_reuse_mode` would begin another association in CLOSED.
    let policy = crate::plane::IPVS;
    bench
        .plane
        .set_policy(1, caribe_packet::policy::Policy { flags: 0, ..policy });
    stage.send(bench, true, &[INIT]);
    let entry = bench.only_entry();
    let replied = if by_client { 0 } else { REPLIED };
    let inactive = |state: u8| if state == ESTABLISHED { 0 } else { 0x0100 };
    let other = entry.flags & !0x0100;
    for (kind, row) in table {
        for (before, after) in row.split(' ').enumerate() {
            let before = before as u8;
            let after = code(after);
            // 1000 s would fit no state: a moved deadline shows.
            let deadline = now().wrapping_add(1_000_000);
            bench
                .plane
                .set_meta(&entry, 16 + before, other | inactive(before), deadline);
            bench.plane.set_load(stage.index, 1000, 1000);
            let start = now();
            stage.send(bench, by_client, &[*kind]);
            let entry = bench.plane.look_again(&entry);
            let cell = format!("chunk {kind} in {}", STATES[usize::from(before)].0);
            let name = |number: u8| STATES[usize::from(number)].0;
            assert_eq!(name(entry.state - 16), name(after), "{cell}");
            let seconds = STATES[usize::from(after)].1;
            crate::lifecycle::assert_deadline(&entry, start, seconds, 0);
            assert_eq!(entry.flags, other | replied | inactive(after), "{cell}");
            let (active, inactive) = match (before == ESTABLISHED, after == ESTABLISHED) {
                (true, false) => (999, 1001),
                (false, true) => (1001, 999),
                _ => (1000, 1000),
            };
            bench.expect_load(stage.index, active, inactive);
        }
    }
}
