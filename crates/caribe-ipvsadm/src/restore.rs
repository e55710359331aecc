//! `-R`: every line of standard input is the words of one command.

use crate::kernel::call_of;
use crate::program::{Ending, refuse, run, told};
use crate::{Command, Kernel, Names, Output, Refusal, parse};

/// What separates words in a line. There is no quoting, and `#` starts no comment.
const SEPARATORS: [char; 3] = [' ', '\t', '\r'];

/// Most changes that are made at once.
const BATCH: usize = 2_000;

/// Runs the commands of `text`; the answer is the exit code, which is that of the last line.
///
/// As in ipvsadm, words that break a rule end it at once, with everything before them done; what
/// the kernel refuses, and options that do not exist, are told and survived.
pub fn restore(
    program: &str,
    text: &str,
    names: &dyn Names,
    kernel: &mut dyn Kernel,
    output: &mut dyn Output,
) -> u8 {
    let mut code = 0;
    let mut waiting: Vec<Command> = Vec::new();
    for line in text.split('\n') {
        let words: Vec<String> = line
            .split(SEPARATORS)
            .filter(|word| !word.is_empty() && *word != "ipvsadm")
            .map(str::to_owned)
            .collect();
        if words.is_empty() {
            continue;
        }
        let parsed = parse(&words, names);
        if let Ok(command) = &parsed
            && command.is_change()
            && waiting.len() < BATCH
        {
            waiting.extend(parsed);
            continue;
        }
        // What comes after them is told after them.
        if let Some(Ending { code: ended, last }) = make(program, &mut waiting, kernel, output) {
            code = ended;
            if last {
                return code;
            }
        }
        let command = match parsed {
            Ok(Command::Restore) => return refuse(program, &Refusal::NoCommand, output),
            Ok(command) if command.is_change() => {
                waiting.push(command);
                continue;
            }
            Ok(command) => command,
            Err(refusal) => {
                code = refuse(program, &refusal, output);
                if refusal.ends_restore() {
                    return code;
                }
                continue;
            }
        };
        let Ending { code: ended, last } = run(program, &command, names, kernel, output);
        code = ended;
        if last {
            return code;
        }
    }
    make(program, &mut waiting, kernel, output).map_or(code, |ending| ending.code)
}

/// Makes the changes that wait, and tells of each that was refused; the ending is that of the
/// last one, or of the one at which nobody was there to be asked.
fn make(
    program: &str,
    waiting: &mut Vec<Command>,
    kernel: &mut dyn Kernel,
    output: &mut dyn Output,
) -> Option<Ending> {
    let commands = std::mem::take(waiting);
    let results = kernel.change_all(&commands);
    let mut ending = None;
    for (command, result) in commands.iter().zip(results) {
        let ended = told(program, (call_of(command), result), output);
        ending = Some(ended);
        if ended.last {
            break;
        }
    }
    ending
}

/// `ipvsadm-restore`: empties the table, then restores what does not start with `#`.
pub fn wrapped_restore(
    program: &str,
    text: &str,
    names: &dyn Names,
    kernel: &mut dyn Kernel,
    output: &mut dyn Output,
) -> u8 {
    let cleared = run(program, &Command::Flush, names, kernel, output);
    if cleared.code != 0 {
        return cleared.code;
    }
    let lines: Vec<&str> = text
        .split('\n')
        .filter(|line| !line.starts_with('#'))
        .collect();
    restore(program, &lines.join("\n"), names, kernel, output)
}
