//! The `caribe` command: arguments in, wiring, exit codes.
//!
//! `arguments` is what was typed, each command's module turns it into what was meant and calls
//! the crate that does it. Called by the name `ipvsadm`, this is `caribe ipvsadm`; and
//! `ipvsadm-save` and `ipvsadm-restore` are its wrappers.
#![forbid(unsafe_code)]

mod arguments;
mod check;
mod client;
mod connections;
mod director;
mod events;
mod explain;
mod import;
mod ipvsadm;
mod logging;
mod moment;
mod names;
mod output;
mod real_server;
mod save;
mod server;
mod status;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, ImportCommand};

/// The C library's allocator keeps what each thread once needed in an arena of the thread's own: at
/// a hundred thousand servers that was half of the director's memory, in use by nobody.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_else(|| OsString::from("caribe"));
    let name = Path::new(&program).file_name().unwrap_or_default();
    let called = program.to_string_lossy();
    match name.to_str() {
        Some("ipvsadm") => return ipvsadm::run(&called, words),
        Some("ipvsadm-save") => return ipvsadm::save(&called, words),
        Some("ipvsadm-restore") => return ipvsadm::restore(&called, words),
        _ => {}
    }
    match Arguments::parse().command {
        Command::Director(arguments) => director::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Import(ImportCommand::Marks(arguments)) => import::marks(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Connections(arguments) => connections::run(&arguments),
        Command::Server(arguments) => server::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Save(arguments) => save::run(&arguments),
        Command::RealServer(arguments) => real_server::run(arguments),
        Command::Ipvsadm(arguments) => ipvsadm::run("caribe ipvsadm", arguments.words.into_iter()),
    }
}
