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

mod bench;
mod checksums;
mod fields;
mod flow;
mod frame;
mod malformed;
mod pass;
mod plane;
mod pod;

use std::process::ExitCode;
use std::sync::mpsc;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let (sender, _receiver) = mpsc::channel();
    let mut cases = bench::Cases::new(sender);
    pass::cases(&mut cases);
    malformed::cases(&mut cases);
    libtest_mimic::run(&arguments, cases.into_trials()).exit_code()
}
