//! The program: words in, exit code out.

use crate::kernel::call_of;
use crate::listing::{self, connections, daemons};
use crate::restore::restore;
use crate::save::save;
use crate::{
    Call, Command, Kernel, KernelError, Listed, Names, Numeric, Refusal, Table, parse, usage,
};

/// Where text goes.
pub trait Output {
    /// Standard output; lines come with their ends.
    fn out(&mut self, text: &str);
    /// Standard error; lines come with their ends.
    fn error(&mut self, text: &str);
}

/// Exit code of a listing that could not be made.
const LISTING_FAILED: u8 = 1;
/// Exit code of a change that the kernel refused.
const CHANGE_REFUSED: u8 = 255;
/// Exit code when there is no kernel to ask.
const UNAVAILABLE: u8 = 2;

/// Runs ipvsadm: `words` are those after `program`, its name. `input` gives what stands on
/// standard input, for `-R`; the answer is the exit code.
pub fn program(
    name: &str,
    words: &[String],
    names: &dyn Names,
    kernel: &mut dyn Kernel,
    input: &mut dyn FnMut() -> Result<String, String>,
    output: &mut dyn Output,
) -> u8 {
    let command = match parse(words, names) {
        Ok(command) => command,
        Err(refusal) => return refuse(name, &refusal, output),
    };
    if command != Command::Restore {
        return run(name, &command, names, kernel, output).code;
    }
    match input() {
        Ok(text) => restore(name, &text, names, kernel, output),
        Err(reason) => {
            output.error(&format!("{name}: cannot read standard input: {reason}\n"));
            UNAVAILABLE
        }
    }
}

pub(crate) fn refuse(name: &str, refusal: &Refusal, output: &mut dyn Output) -> u8 {
    output.error(&format!("{}\n", refusal.message(name)));
    refusal.code()
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) code: u8,
    /// `-R` goes no further.
    pub(crate) last: bool,
}

/// Runs one command. [`Command::Restore`] is the caller's.
pub(crate) fn run(
    name: &str,
    command: &Command,
    names: &dyn Names,
    kernel: &mut dyn Kernel,
    output: &mut dyn Output,
) -> Ending {
    let changed = match command {
        Command::Help => {
            output.out(&usage::text(name));
            return Ending {
                code: 0,
                last: true,
            };
        }
        Command::Version => {
            output.out(usage::VERSION);
            return Ending {
                code: 0,
                last: true,
            };
        }
        Command::List(_) | Command::Save { .. } => {
            return listed(name, command, names, kernel, output);
        }
        Command::Restore => {
            return Ending {
                code: refuse(name, &Refusal::NoCommand, output),
                last: true,
            };
        }
        change => {
            let results = kernel.change_all(std::slice::from_ref(change));
            // One change has one result.
            let result = results.into_iter().next().unwrap_or(Ok(()));
            (call_of(change), result)
        }
    };
    told(name, changed, output)
}

/// Tells what came of a change.
pub(crate) fn told(
    name: &str,
    changed: (Call, Result<(), KernelError>),
    output: &mut dyn Output,
) -> Ending {
    match changed {
        (_, Ok(())) => Ending {
            code: 0,
            last: false,
        },
        (_, Err(KernelError::Unavailable(reason))) => unavailable(name, &reason, output),
        (call, Err(error)) => {
            output.error(&format!("{}\n", error.text(call)));
            Ending {
                code: CHANGE_REFUSED,
                last: false,
            }
        }
    }
}

fn unavailable(name: &str, reason: &str, output: &mut dyn Output) -> Ending {
    output.error(&format!("{name}: {reason}\n"));
    Ending {
        code: UNAVAILABLE,
        last: true,
    }
}

fn listed(
    name: &str,
    command: &Command,
    names: &dyn Names,
    kernel: &mut dyn Kernel,
    output: &mut dyn Output,
) -> Ending {
    let chosen = |numeric: bool| {
        if numeric {
            &Numeric as &dyn Names
        } else {
            names
        }
    };
    let done = match command {
        Command::List(Listed::Connections { numeric, engines }) => {
            let names = chosen(*numeric);
            // Nothing is printed before there is something to list.
            let mut header = Some(connections::header(*engines));
            let listed = kernel.connections(&mut |connection| {
                if let Some(header) = header.take() {
                    output.out(&header);
                }
                output.out(&connections::row(connection, *engines, names));
            });
            if let (Ok(()), Some(header)) = (&listed, header) {
                output.out(&header);
            }
            listed
        }
        Command::List(Listed::Timeouts) => kernel.timeouts().map(|timeouts| {
            output.out(&daemons::timeouts(&timeouts));
        }),
        Command::List(Listed::Daemons) => kernel.daemons().map(|mut running| {
            running.sort_by_key(|daemon| daemon.role);
            for daemon in &running {
                output.out(&daemons::daemon(daemon));
            }
        }),
        Command::List(Listed::Table(table)) => table_of(table, kernel).map(|services| {
            output.out(&listing::table(&services, table, chosen(table.numeric)));
        }),
        Command::Save { numeric } => kernel.services().map(|services| {
            output.out(&save(&services, chosen(*numeric)));
        }),
        // The caller has taken the others.
        _ => Ok(()),
    };
    match done {
        Ok(()) => Ending {
            code: 0,
            last: false,
        },
        Err(KernelError::Unavailable(reason)) => unavailable(name, &reason, output),
        Err(error) => {
            output.error(&format!("{}\n", error.text(Call::OneService)));
            Ending {
                code: LISTING_FAILED,
                last: true,
            }
        }
    }
}

fn table_of(
    table: &Table,
    kernel: &mut dyn Kernel,
) -> Result<Vec<crate::LiveService>, KernelError> {
    match &table.only {
        Some(id) => Ok(vec![kernel.service(id)?]),
        None => kernel.services(),
    }
}
