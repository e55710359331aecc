//! What the machine's administrator has the agent say.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

/// Words of the agent protocol, each of which was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words {
    words: Vec<String>,
    tell_health: bool,
    reason: Option<String>,
}

/// Text that is not for the agent to say.
#[derive(Debug, thiserror::Error)]
pub(super) enum WordsError {
    #[error("`{0}` is none of ready, drain, maint, up, down, fail, stopped and maxconn:N")]
    Unknown(String),
    #[error("`{0}` contradicts another word")]
    Contradiction(String),
    #[error("the reason has characters that are not printable ASCII")]
    Reason,
    #[error("it is longer than {LONGEST} bytes")]
    Long,
    #[error("{0}")]
    Read(#[from] io::Error),
}

/// A line that readers of agents take whole.
const LONGEST: u64 = 512;

impl Words {
    /// True when they say how the machine is.
    pub(super) fn tell_health(&self) -> bool {
        self.tell_health
    }

    /// What stood behind a `#`.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}

impl FromStr for Words {
    type Err = WordsError;

    /// Reads the administrator's line. Without a wish among its words, the wish is `ready`: it
    /// takes back what an earlier line wished.
    fn from_str(text: &str) -> Result<Words, WordsError> {
        let line = text.trim();
        let (line, reason) = match line.split_once('#') {
            Some((line, reason)) => (line, Some(reason.trim())),
            None => (line, None),
        };
        let printable = |c: char| c == ' ' || c.is_ascii_graphic();
        if !reason.unwrap_or_default().chars().all(printable) {
            return Err(WordsError::Reason);
        }
        let mut words = Words {
            reason: reason.filter(|text| !text.is_empty()).map(str::to_owned),
            ..Words::default()
        };
        let (mut wished, mut limited) = (false, false);
        for word in line.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
            let word = word.to_ascii_lowercase();
            let kind = match word.as_str() {
                "ready" | "drain" | "maint" => &mut wished,
                "up" | "down" | "fail" | "stopped" => &mut words.tell_health,
                _ if is_limit(&word) => &mut limited,
                _ => return Err(WordsError::Unknown(word)),
            };
            if std::mem::replace(kind, true) {
                return Err(WordsError::Contradiction(word));
            }
            words.words.push(word);
        }
        if !wished {
            words.words.insert(0, "ready".to_owned());
        }
        Ok(words)
    }
}

fn is_limit(word: &str) -> bool {
    word.strip_prefix("maxconn:").is_some_and(|number| {
        number.bytes().all(|digit| digit.is_ascii_digit()) && number.parse::<u32>().is_ok()
    })
}

/// Reads the administrator's file; one that is missing is an empty one.
pub(super) fn read(path: &Path) -> Result<Words, WordsError> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(LONGEST + 1).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error.into()),
    };
    if text.len() as u64 > LONGEST {
        return Err(WordsError::Long);
    }
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_the_protocol_are_taken() {
        for text in [
            "off",
            "50%",
            "drain maint",
            "up up",
            "maxconn:",
            "maxconn:-1",
            "maxconn:99999999999",
            "drain\nup down",
            "down # caf\u{e9}",
            "down # a\u{1b}[2J",
        ] {
            assert!(text.parse::<Words>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_missing_file_is_an_empty_one_and_a_long_one_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("words");
        assert_eq!(read(&path).expect("read").to_string(), "ready");
        std::fs::write(&path, "DRAIN\n").expect("written");
        assert_eq!(read(&path).expect("read").to_string(), "drain");
        std::fs::write(&path, " ".repeat(513)).expect("written");
        assert!(matches!(read(&path), Err(WordsError::Long)));
        std::fs::write(&path, b"\xff").expect("written");
        assert!(matches!(read(&path), Err(WordsError::Read(_))));
    }
}
