//! `caribe ipvsadm`, or this program under the names `ipvsadm`, `ipvsadm-save` and
//! `ipvsadm-restore`: `caribe-ipvsadm` with a director as its kernel.

mod director;
mod words;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use caribe_ipvsadm::{Output, program, wrapped_restore};

use crate::names::SystemNames;
use director::DirectorKernel;
use words::{Words, words};

/// ipvsadm's exit code for wrong words.
const WRONG_WORDS: u8 = 2;

/// Runs ipvsadm.
pub(crate) fn run(name: &str, typed: impl Iterator<Item = OsString>) -> ExitCode {
    let Words { directory, words } = match words(typed) {
        Ok(words) => words,
        Err(error) => return wrong(name, &error.to_string()),
    };
    let mut kernel = DirectorKernel::new(directory);
    let mut streams = Streams::new();
    let code = program(
        name,
        &words,
        &SystemNames::new(),
        &mut kernel,
        &mut standard_input,
        &mut streams,
    );
    streams.end(name, code)
}

/// Runs `ipvsadm-save [-n]`.
pub(crate) fn save(name: &str, typed: impl Iterator<Item = OsString>) -> ExitCode {
    let Words { directory, words } = match words(typed) {
        Ok(words) => words,
        Err(error) => return wrong(name, &error.to_string()),
    };
    let mut save = vec!["-S".to_owned()];
    for word in words {
        match word.as_str() {
            "-n" if save.len() == 1 => save.push(word),
            "-n" => {}
            // As the script does, which looks for options only.
            option if option.starts_with('-') => {
                eprintln!("{name}: prints the table as `ipvsadm -R` reads it");
                eprintln!("   With -n in numbers, which is safe to read again.");
                return ExitCode::FAILURE;
            }
            _ => {}
        }
    }
    let mut kernel = DirectorKernel::new(directory);
    let mut streams = Streams::new();
    let code = program(
        name,
        &save,
        &SystemNames::new(),
        &mut kernel,
        &mut standard_input,
        &mut streams,
    );
    streams.end(name, code)
}

/// Runs `ipvsadm-restore`, which looks at no words.
pub(crate) fn restore(name: &str, typed: impl Iterator<Item = OsString>) -> ExitCode {
    let directory = match words(typed) {
        Ok(words) => words.directory,
        Err(error) => return wrong(name, &error.to_string()),
    };
    let text = match standard_input() {
        Ok(text) => text,
        Err(reason) => return wrong(name, &format!("cannot read standard input: {reason}")),
    };
    let mut kernel = DirectorKernel::new(directory);
    let mut streams = Streams::new();
    let names = SystemNames::new();
    let code = wrapped_restore(name, &text, &names, &mut kernel, &mut streams);
    streams.end(name, code)
}

fn wrong(name: &str, reason: &str) -> ExitCode {
    eprintln!("{name}: {reason}");
    ExitCode::from(WRONG_WORDS)
}

/// What is not text is no word of ipvsadm either: the parser refuses it as it looks.
fn standard_input() -> Result<String, String> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The process's own streams. What fails on standard output is kept for the end.
struct Streams {
    out: io::BufWriter<io::StdoutLock<'static>>,
    failed: Option<io::Error>,
}

impl Streams {
    fn new() -> Self {
        Streams {
            out: io::BufWriter::new(io::stdout().lock()),
            failed: None,
        }
    }

    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }

    fn end(mut self, name: &str, code: u8) -> ExitCode {
        let flushed = self.out.flush();
        self.note(flushed);
        match self.failed {
            // A reader that has seen enough (`| head`) is no failure of the command.
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                eprintln!("{name}: cannot write to standard output: {error}");
                ExitCode::FAILURE
            }
            _ => ExitCode::from(code),
        }
    }
}

impl Output for Streams {
    fn out(&mut self, text: &str) {
        if self.failed.is_none() {
            let written = self.out.write_all(text.as_bytes());
            self.note(written);
        }
    }

    fn error(&mut self, text: &str) {
        // In the order in which things were said.
        let flushed = self.out.flush();
        self.note(flushed);
        eprint!("{text}");
    }
}
