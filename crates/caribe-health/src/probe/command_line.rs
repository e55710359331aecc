//! The words of a program to run, with `%h` and `%p` for the real server.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A program and its arguments. No shell is in between: a word is a word, whatever is in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct CommandLine(Vec<String>);

/// Words that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandLineError {
    /// There is no program.
    #[error("there is no program to run: the line is empty")]
    Empty,
    /// More than [`CommandLine::LONGEST`] bytes.
    #[error("the program's line has {0} bytes; at most {longest} are taken", longest = CommandLine::LONGEST)]
    Long(usize),
    /// A NUL byte in a word.
    #[error("the program's line has a NUL byte in it")]
    Nul,
}

impl CommandLine {
    /// In bytes, a blank between words included. (Piranha took 254 bytes and 39 words.)
    pub const LONGEST: usize = 4096;

    /// A program and its arguments, each a word of its own.
    ///
    /// # Errors
    ///
    /// There must be a program, and the words must not be too long.
    pub fn new(words: Vec<String>) -> Result<CommandLine, CommandLineError> {
        if words.first().is_none_or(String::is_empty) {
            return Err(CommandLineError::Empty);
        }
        let length = words.iter().map(|word| word.len() + 1).sum::<usize>() - 1;
        if length > CommandLine::LONGEST {
            return Err(CommandLineError::Long(length));
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err(CommandLineError::Nul);
        }
        Ok(CommandLine(words))
    }

    /// The same program with one more argument.
    ///
    /// # Errors
    ///
    /// As [`CommandLine::new`].
    pub fn with(mut self, word: &str) -> Result<CommandLine, CommandLineError> {
        self.0.push(word.to_owned());
        CommandLine::new(self.0)
    }

    /// The words for a server: `%h` becomes its address (IPv6 without brackets) and `%p` its
    /// port, wherever they stand; any other `%` stays as it is. (Piranha replaced whole words
    /// only.)
    pub fn expand(&self, server: SocketAddr) -> Vec<String> {
        self.0.iter().map(|word| expand(word, server)).collect()
    }
}

fn expand(word: &str, server: SocketAddr) -> String {
    let mut expanded = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('%') {
        expanded.push_str(before);
        rest = match after.as_bytes().first() {
            Some(b'h') => {
                expanded.push_str(&server.ip().to_string());
                &after[1..]
            }
            Some(b'p') => {
                expanded.push_str(&server.port().to_string());
                &after[1..]
            }
            _ => {
                expanded.push('%');
                after
            }
        };
    }
    expanded.push_str(rest);
    expanded
}

impl TryFrom<Vec<String>> for CommandLine {
    type Error = CommandLineError;

    fn try_from(words: Vec<String>) -> Result<CommandLine, CommandLineError> {
        CommandLine::new(words)
    }
}

impl From<CommandLine> for Vec<String> {
    fn from(line: CommandLine) -> Vec<String> {
        line.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Result<CommandLine, CommandLineError> {
        CommandLine::new(line.split_whitespace().map(str::to_owned).collect())
    }

    fn words(line: &str, server: &str) -> Vec<String> {
        let server = server.parse().expect("an address");
        split(line).expect("a line").expand(server)
    }

    #[test]
    fn the_server_is_put_in_wherever_it_is_asked_for() {
        assert_eq!(
            words("check -h %h  -u http://%h:%p/ %h%p", "192.0.2.1:80"),
            [
                "check",
                "-h",
                "192.0.2.1",
                "-u",
                "http://192.0.2.1:80/",
                "192.0.2.180"
            ]
        );
        assert_eq!(
            words("check [%h]:%p", "[2001:db8::1]:443"),
            ["check", "[2001:db8::1]:443"]
        );
    }

    #[test]
    fn another_percent_sign_is_itself() {
        assert_eq!(
            words("check %x 50% %%h %H %é", "192.0.2.1:80"),
            ["check", "%x", "50%", "%192.0.2.1", "%H", "%é"]
        );
    }

    #[test]
    fn lines_that_cannot_be_run_are_refused() {
        assert_eq!(split(" \t "), Err(CommandLineError::Empty));
        assert_eq!(split("a\0b"), Err(CommandLineError::Nul));
        let long = "x".repeat(CommandLine::LONGEST + 1);
        assert!(matches!(split(&long), Err(CommandLineError::Long(_))));
        assert!(split(&long[1..]).is_ok());
    }
}
