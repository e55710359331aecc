//! `caribe real-server`. Exit codes: 0 done or in place, 1 not in place (from `status`), 2 failed.

use std::io;
use std::process::ExitCode;

use caribe_real_server::cli::{self, Args};

pub(crate) fn run(arguments: Args) -> ExitCode {
    match cli::run(arguments, &mut io::stdout().lock()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("caribe real-server: {error}");
            ExitCode::from(2)
        }
    }
}
