//! Benches of Caribe, run by `cargo xtask bench NAME`.
//!
//! A figure here is a ratio from one interleaved run: what is measured and what it is compared
//! with take turns, so that a noisy machine troubles both alike. A bench that misses its target
//! says so and fails.
#![forbid(unsafe_code)]

mod figures;
mod flows;
mod generator;
mod limits;
mod monitors;
mod packet;
mod page;
mod processors;
mod sample;
mod table;
mod usage;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Benches of Caribe.
#[derive(Debug, Parser)]
#[command(name = "caribe-bench")]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// A data plane with ten million connections.
    Limits(limits::Arguments),
    /// Checks a second on one processor, how regular they are, and what they cost.
    Monitors(monitors::Arguments),
    /// What `monitors` runs in an emulated guest.
    #[command(name = monitors::inside::COMMAND, hide = true)]
    InGuest,
    /// Nanoseconds per packet and bytes per connection of the built XDP program.
    Packet(packet::Arguments),
    /// Seconds for ten thousand services.
    Table(table::Arguments),
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().bench {
        Bench::Limits(arguments) => limits::run(&arguments),
        Bench::Monitors(arguments) => monitors::run(&arguments),
        Bench::InGuest => monitors::inside::run().map(|()| ExitCode::SUCCESS),
        Bench::Packet(arguments) => packet::run(&arguments),
        Bench::Table(arguments) => table::run(&arguments),
    }
}
