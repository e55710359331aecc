//! Standard output, for commands whose text is their result.

use std::io::{self, Write};
use std::process::ExitCode;

/// Prints a result. A reader that has seen enough (`| head`) is no failure of the command.
pub(crate) fn show(program: &str, text: &str, code: ExitCode) -> ExitCode {
    let mut output = io::stdout().lock();
    let printed = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("{program}: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
        _ => code,
    }
}
