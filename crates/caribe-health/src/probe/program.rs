//! A program that judges a server, or tells its load.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::command_line::CommandLine;
use super::deadline::Deadline;
use super::finding::{Found, Reading, Step};
use super::process::{self, Ran};
use super::text::Quoted;
use super::{Code, Load, Octets, Pattern, Target};

/// Runs a program on the director. One that exits with anything but 0, dies of a signal, or has
/// not ended within the limit is a failure, whatever it said. (Piranha took these for success.)
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramCheck {
    /// What to run.
    pub command: CommandLine,
    /// What else it takes to pass.
    pub verdict: ProgramVerdict,
}

/// What a program that exits with 0 must do besides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramVerdict {
    /// Nothing.
    Exit,
    /// Piranha's `send_program`: its output must be Piranha's `expect`. Without one nothing is
    /// as expected, and the server stays down; the text says so.
    Output(Option<ProgramOutput>),
    /// Print a load average: see [`Load::find`].
    Load,
}

/// What a program must print, to the last byte but one newline at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramOutput {
    /// Anything at all: `*`.
    Anything,
    /// Exactly this.
    Exactly(Octets),
    /// Something that the expression matches.
    Regex(Pattern),
}

impl ProgramCheck {
    pub(super) async fn run(&self, target: &Target, deadline: &Deadline) -> Step<Found> {
        let words = self.command.expand(target.address);
        // A load is looked for in English words.
        let environment: &[_] = match self.verdict {
            ProgramVerdict::Load => &[("LC_ALL", "C")],
            ProgramVerdict::Exit | ProgramVerdict::Output(_) => &[],
        };
        let ran = process::run(&words, environment, deadline).await?;
        self.verdict.judge(&ran)
    }
}

impl ProgramVerdict {
    pub(super) fn judge(&self, ran: &Ran) -> Step<Found> {
        let output = ran.output.strip_suffix(b"\n").unwrap_or(&ran.output);
        if let Some(how) = failure(ran) {
            let said = if ran.complaint.is_empty() {
                output
            } else {
                ran.complaint.trim_ascii()
            };
            let text = format!("the program {how} and said {}", Quoted(said));
            return Err(Found::new(Code::ProgramError, text));
        }
        match self {
            ProgramVerdict::Exit if output.is_empty() => {
                Ok(Found::new(Code::ProgramOk, "the program ended well"))
            }
            ProgramVerdict::Exit => Ok(said(output)),
            ProgramVerdict::Output(Some(expected)) if expected.is(output) => Ok(said(output)),
            ProgramVerdict::Output(Some(expected)) => Err(Found::new(
                Code::ProgramError,
                format_args!(
                    "the program said {} instead of {}",
                    Quoted(output),
                    expected.describe()
                ),
            )),
            ProgramVerdict::Output(None) => Err(Found::new(
                Code::ProgramError,
                format_args!(
                    "the program said {}, but there is no `expect` that it could meet: set one",
                    Quoted(output)
                ),
            )),
            ProgramVerdict::Load => match Load::find(&String::from_utf8_lossy(output)) {
                Some(load) => Ok(Found::new(Code::ProgramOk, format_args!("load {load}"))
                    .with(Reading::Load(load))),
                None => Err(Found::new(
                    Code::ProgramError,
                    format_args!("no load average in {}", Quoted(output)),
                )),
            },
        }
    }
}

fn said(output: &[u8]) -> Found {
    Found::new(
        Code::ProgramOk,
        format_args!("the program said {}", Quoted(output)),
    )
}

/// How a program failed, if it did.
fn failure(ran: &Ran) -> Option<String> {
    if let Some(number) = ran.status.signal() {
        return Some(match Signal::try_from(number) {
            Ok(signal) => format!("died of {signal}"),
            Err(_) => format!("died of signal {number}"),
        });
    }
    match ran.status.code() {
        Some(0) => None,
        Some(code) => Some(format!("exited with {code}")),
        None => Some("ended in an unknown way".to_owned()),
    }
}

impl ProgramOutput {
    fn is(&self, output: &[u8]) -> bool {
        match self {
            ProgramOutput::Anything => !output.is_empty(),
            ProgramOutput::Exactly(octets) => output == octets.as_bytes(),
            ProgramOutput::Regex(pattern) => pattern.is_in(output),
        }
    }

    fn describe(&self) -> String {
        match self {
            ProgramOutput::Anything => "anything".to_owned(),
            ProgramOutput::Exactly(octets) => Quoted(octets.as_bytes()).to_string(),
            ProgramOutput::Regex(pattern) => format!("/{}/", pattern.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    fn judge(verdict: &ProgramVerdict, wait_status: i32, output: &str) -> (Code, String) {
        let ran = Ran {
            status: ExitStatus::from_raw(wait_status),
            output: output.into(),
            complaint: Vec::new(),
        };
        let found = match verdict.judge(&ran) {
            Ok(found) => {
                assert!(found.code.passed());
                found
            }
            Err(found) => {
                assert!(!found.code.passed());
                found
            }
        };
        (found.code, found.text.to_string())
    }

    fn exactly(text: &str) -> ProgramVerdict {
        ProgramVerdict::Output(Some(ProgramOutput::Exactly(text.into())))
    }

    #[test]
    fn output_is_compared_as_a_whole_but_for_one_newline() {
        assert_eq!(judge(&exactly("OK"), 0, "OK\n").0, Code::ProgramOk);
        assert_eq!(judge(&exactly("OK"), 0, "OK").0, Code::ProgramOk);
        for other in ["OK\n\n", "OKAY\n", "ok\n", "O", "", "\n"] {
            assert_eq!(
                judge(&exactly("OK"), 0, other).0,
                Code::ProgramError,
                "{other:?}"
            );
        }
        let anything = ProgramVerdict::Output(Some(ProgramOutput::Anything));
        assert_eq!(judge(&anything, 0, "x").0, Code::ProgramOk);
        assert_eq!(judge(&anything, 0, "\n").0, Code::ProgramError);
    }

    #[test]
    fn failure_is_down_even_with_the_right_output() {
        let verdicts = [exactly("OK"), ProgramVerdict::Exit, ProgramVerdict::Load];
        for verdict in verdicts {
            let exited = judge(&verdict, 3 << 8, "OK\n");
            let text = "the program exited with 3 and said `OK`".to_owned();
            assert_eq!(exited, (Code::ProgramError, text));
            let died = judge(&verdict, 11, "OK\n");
            let text = "the program died of SIGSEGV and said `OK`".to_owned();
            assert_eq!(died, (Code::ProgramError, text));
        }
    }

    #[test]
    fn without_an_expectation_nothing_meets_it() {
        let verdict = ProgramVerdict::Output(None);
        assert_eq!(judge(&verdict, 0, "OK\n").0, Code::ProgramError);
        assert_eq!(judge(&verdict, 0, "").0, Code::ProgramError);
        assert_eq!(judge(&ProgramVerdict::Exit, 0, "").0, Code::ProgramOk);
    }

    #[test]
    fn a_load_is_found_or_its_lack_is_told() {
        let (code, text) = judge(&ProgramVerdict::Load, 0, "load average: 0.50, 0.1, 0.1\n");
        assert_eq!((code, text.as_str()), (Code::ProgramOk, "load 0.50"));
        assert_eq!(
            judge(&ProgramVerdict::Load, 0, "none\n").0,
            Code::ProgramError
        );
    }
}
