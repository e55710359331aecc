//! Packet tests: the built BPF programs, run by the kernel on frames that never see a wire.
//!
//! Every case sends frames through `BPF_PROG_TEST_RUN` and asserts the action, the whole frame
//! byte for byte, the one counter that moves, and every checksum. Expected frames are built by
//! [`frame`] from the rules, not by the code under test. One file per concern; a failing case
//! prints the frame that went in, the difference field by field, and a line for scapy.
//!
//! [`plane`] loads the programs, [`bench`] is what a case holds, [`flow`] has the addresses and
//! the ordinary packets. [`differential`] compares the programs with a plain [`model`] over random
//! traffic; [`witness`] asks tshark for a second opinion on what they emit. After all cases,
//! [`coverage`] demands that every verdict was reached.
//!
//! It needs root, for BPF and for a network namespace per thread; without, every case fails.

mod answers;
mod bench;
mod chapters;
mod checksums;
mod collisions;
mod counters;
mod coverage;
mod decapsulate;
mod decapsulate_wrapping;
mod defences;
mod differential;
mod direct;
mod errors;
mod expiry;
mod fields;
mod flood;
mod flow;
mod fragments;
mod frame;
mod lifecycle;
mod limits;
mod local;
mod malformed;
mod model;
mod mss;
mod nat;
mod one_packet;
mod options;
mod overload;
mod pass;
mod persistence;
mod plane;
mod pod;
mod policies;
mod refusals;
mod replies;
mod schedulers;
mod schedulers_by_hash;
mod schedulers_by_load;
mod schedulers_by_locality;
mod sctp;
mod sctp_states;
mod strays;
mod tunnel;
mod tunnel_wrapping;
mod witness;

use std::process::ExitCode;
use std::sync::mpsc;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let (sender, receiver) = mpsc::channel();
    let mut cases = bench::Cases::new(sender);
    pass::cases(&mut cases);
    malformed::cases(&mut cases);
    fragments::cases(&mut cases);
    options::cases(&mut cases);
    nat::cases(&mut cases);
    mss::cases(&mut cases);
    direct::cases(&mut cases);
    tunnel::cases(&mut cases);
    tunnel_wrapping::cases(&mut cases);
    answers::cases(&mut cases);
    errors::cases(&mut cases);
    refusals::cases(&mut cases);
    lifecycle::cases(&mut cases);
    sctp::cases(&mut cases);
    sctp_states::cases(&mut cases);
    expiry::cases(&mut cases);
    counters::cases(&mut cases);
    schedulers::cases(&mut cases);
    schedulers_by_load::cases(&mut cases);
    schedulers_by_hash::cases(&mut cases);
    schedulers_by_locality::cases(&mut cases);
    replies::cases(&mut cases);
    strays::cases(&mut cases);
    collisions::cases(&mut cases);
    limits::cases(&mut cases);
    local::cases(&mut cases);
    chapters::cases(&mut cases);
    policies::cases(&mut cases);
    persistence::cases(&mut cases);
    one_packet::cases(&mut cases);
    overload::cases(&mut cases);
    defences::cases(&mut cases);
    flood::cases(&mut cases);
    decapsulate::cases(&mut cases);
    decapsulate_wrapping::cases(&mut cases);
    differential::cases(&mut cases);

    let conclusion = libtest_mimic::run(&arguments, cases.into_trials());
    if arguments.list || conclusion.has_failed() {
        return conclusion.exit_code();
    }
    // Some cases alone do not reach every verdict.
    if conclusion.num_filtered_out > 0 {
        println!("coverage and witness need all cases: run without a filter for them");
        return conclusion.exit_code();
    }
    let sent: Vec<_> = receiver.try_iter().collect();
    let together = coverage::trials(&sent)
        .into_iter()
        .chain(witness::trials(&sent))
        .collect();
    libtest_mimic::run(&arguments, together).exit_code()
}
