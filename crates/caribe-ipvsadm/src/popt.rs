//! Words into options, by the grammar of the popt library: short options in clusters, values
//! attached (`-srr`, `-s=rr`, `--scheduler=rr`) or apart, no abbreviations, `--` ends options,
//! and words between options are kept for later.

use std::collections::VecDeque;

use crate::Refusal;
use crate::options::{Known, Meaning, OPTIONS, Value};

/// An option as it was typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Typed<'a> {
    pub(crate) meaning: Meaning,
    /// The value; always there when it is needed.
    pub(crate) value: Option<&'a str>,
}

/// Reads words one option at a time.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    words: VecDeque<&'a str>,
    /// What is left of a cluster of short options.
    cluster: &'a str,
    /// The word that was taken last: messages name it whole.
    last: &'a str,
    /// Words that are no options.
    left: VecDeque<&'a str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(words: &'a [String]) -> Self {
        Reader {
            words: words.iter().map(String::as_str).collect(),
            cluster: "",
            last: "",
            left: VecDeque::new(),
        }
    }

    /// The word that was taken last.
    pub(crate) fn last(&self) -> &'a str {
        self.last
    }

    /// The words that are no options, once there are no options left.
    pub(crate) fn left(self) -> VecDeque<&'a str> {
        self.left
    }

    /// The next option.
    pub(crate) fn next(&mut self) -> Result<Option<Typed<'a>>, Refusal> {
        while self.cluster.is_empty() {
            let Some(word) = self.take() else {
                return Ok(None);
            };
            if word == "--" {
                self.left.append(&mut self.words);
            } else if let Some(long) = word.strip_prefix("--") {
                return self.long(long).map(Some);
            } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                self.cluster = letters;
            } else {
                self.left.push_back(word);
            }
        }
        self.short().map(Some)
    }

    fn take(&mut self) -> Option<&'a str> {
        let word = self.words.pop_front()?;
        self.last = word;
        Some(word)
    }

    fn long(&mut self, word: &'a str) -> Result<Typed<'a>, Refusal> {
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let known = OPTIONS.iter().find(|option| option.long == name);
        let known = known.ok_or_else(|| Refusal::UnknownOption(self.last.to_owned()))?;
        self.with_value(known, attached)
    }

    fn short(&mut self) -> Result<Typed<'a>, Refusal> {
        let mut letters = self.cluster.chars();
        let letter = letters.next();
        let rest = letters.as_str();
        let known = OPTIONS
            .iter()
            .find(|option| option.short.is_some() && option.short == letter);
        let known = known.ok_or_else(|| Refusal::UnknownOption(self.last.to_owned()))?;
        let mut attached = None;
        self.cluster = "";
        if known.value != Value::None && !rest.is_empty() || rest.starts_with('=') {
            attached = Some(rest.strip_prefix('=').unwrap_or(rest));
        } else {
            self.cluster = rest;
        }
        self.with_value(known, attached)
    }

    fn with_value(
        &mut self,
        known: &'static Known,
        attached: Option<&'a str>,
    ) -> Result<Typed<'a>, Refusal> {
        let value = match (known.value, attached) {
            (Value::None, Some(_)) => {
                return Err(Refusal::UnwantedArgument(self.last.to_owned()));
            }
            (Value::None, None) => None,
            (_, Some(value)) => Some(value),
            (Value::Optional, None) => match self.words.front() {
                Some(word) if !word.starts_with('-') => self.take(),
                _ => None,
            },
            (Value::Needed, None) => match self.take() {
                Some(value) => Some(value),
                None => return Err(Refusal::MissingArgument(self.last.to_owned())),
            },
        };
        Ok(Typed {
            meaning: known.meaning,
            value,
        })
    }
}
