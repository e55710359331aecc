//! Netfilter's rules to `mark` blocks: what `caribe import marks` does.
//!
//! The text of `iptables-save`, `ip6tables-save` (also one behind the other) or `nft list
//! ruleset` is read, never the kernel's tables. A rule is translated when a `mark` block takes
//! exactly the packets that it takes; every other rule that bears on marks is named with a
//! reason. [`chain`] puts the rules into the order in which the last one counts.

mod chain;
mod iptables;
mod nft;
mod rule;

use std::fmt;

use crate::diagnostic::is_steering;

/// The largest text that is read, in bytes.
pub const MAX_SIZE: usize = 16 << 20;

/// What came of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedMarks {
    /// `mark` blocks, ready for an lvs.cf; empty when there are none.
    pub blocks: String,
    /// How many blocks these are.
    pub count: usize,
    /// Rules that bear on marks and are not in the blocks, by line.
    pub untranslated: Vec<Untranslated>,
}

/// A rule that no `mark` block stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untranslated {
    /// Line of the text, from 1.
    pub line: usize,
    /// The rule, shortened, in backticks, with nothing in it that could steer a terminal.
    pub rule: String,
    /// Why not.
    pub reason: String,
}

impl Untranslated {
    fn new(line: usize, rule: &str, reason: impl Into<String>) -> Self {
        Untranslated {
            line,
            rule: shown_rule(rule),
            // It may quote the rule.
            reason: visible(&reason.into(), 120),
        }
    }
}

impl fmt::Display for Untranslated {
    /// `line 7: not translated: REASON: RULE`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Untranslated { line, rule, reason } = self;
        write!(f, "line {line}: not translated: {reason}: {rule}")
    }
}

/// Why a text was not read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// No line looks like netfilter's.
    #[error(
        "this is neither the output of `iptables-save` (no line `*mangle` or the like) nor that \
         of `nft list ruleset` (no line `table ip NAME {{`)"
    )]
    UnknownFormat,
    /// More than [`MAX_SIZE`].
    #[error("the text has more than {MAX_SIZE} bytes: is this a list of rules?")]
    TooLarge,
}

/// Translates the rules of a text that set marks.
///
/// # Errors
///
/// Refuses a text that is neither of `iptables-save` nor of `nft list ruleset`, and one that is
/// too large.
pub fn marks(text: &[u8]) -> Result<ImportedMarks, ImportError> {
    if text.len() > MAX_SIZE {
        return Err(ImportError::TooLarge);
    }
    let text = String::from_utf8_lossy(text);
    let chains = if text.lines().any(|line| line.starts_with('*')) {
        iptables::chains(&text)
    } else if text.lines().any(|line| line.starts_with("table ")) {
        nft::chains(&text)
    } else {
        return Err(ImportError::UnknownFormat);
    };
    let (rules, mut untranslated) = chain::in_order(chains);
    untranslated.sort_by_key(|rule| rule.line);
    let (blocks, count) = rule::blocks(&rules);
    Ok(ImportedMarks {
        blocks,
        count,
        untranslated,
    })
}

/// A rule for a message: long enough to tell it from others.
fn shown_rule(rule: &str) -> String {
    format!("`{}`", visible(rule.trim(), 160))
}

/// Text from outside, shortened, with nothing in it that could steer a terminal.
fn visible(text: &str, longest: usize) -> String {
    let mut visible = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == longest {
            visible.push('…');
            break;
        }
        match is_steering(character) {
            true => visible.extend(character.escape_unicode()),
            false => visible.push(character),
        }
    }
    visible
}

#[cfg(test)]
mod tests;
