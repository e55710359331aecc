//! Standard output, for commands whose text is their result.

use std::io::{self, Write};
use std::process::ExitCode;

/// Prints a result. A reader that has seen enough (`| head`) is no failure of the command.
pub(crate) fn show(program: &str, text: &str, code: ExitCode) -> ExitCode {
    match print(text) {
        Ok(_) => code,
        Err(error) => {
            eprintln!("{program}: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a part of a result; `false` when the reader has seen enough.
pub(crate) fn print(text: &str) -> io::Result<bool> {
    let mut output = io::stdout().lock();
    let printed = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        printed => printed.map(|()| true),
    }
}
