//! `-R`: every line of standard input is the words of one command.

use crate::program::{Ending, refuse, run};
use crate::{Command, Kernel, Names, Output, Refusal, parse};

/// What separates words in a line. There is no quoting, and `#` starts no comment.
const SEPARATORS: [char; 3] = [' ', '\t', '\r'];

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
    for line in text.split('\n') {
        let words: Vec<String> = line
            .split(SEPARATORS)
            .filter(|word| !word.is_empty() && *word != "ipvsadm")
            .map(str::to_owned)
            .collect();
        if words.is_empty() {
            continue;
        }
        let command = match parse(&words, names) {
            Ok(Command::Restore) => return refuse(program, &Refusal::NoCommand, output),
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
    code
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
