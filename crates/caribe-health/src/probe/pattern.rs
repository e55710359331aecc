//! Regular expressions over bytes.

use std::fmt;
use std::hash::{Hash, Hasher};

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// A compiled regular expression, unanchored, over bytes.
///
/// The syntax is that of the `regex` crate, which takes what POSIX extended expressions are made
/// of (`use_regex` in Piranha), and adds to it. It has no back references, and the time that a
/// match takes grows with the length of the text alone, whoever chose expression and text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

/// An expression that cannot be understood, or is too large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no regular expression: {reason}")]
pub struct PatternError {
    pattern: String,
    reason: String,
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// It must be well-formed, and take less than a megabyte when compiled.
    pub fn new(pattern: &str) -> Result<Pattern, PatternError> {
        RegexBuilder::new(pattern)
            .size_limit(1 << 20)
            .dfa_size_limit(1 << 20)
            .build()
            .map(Pattern)
            .map_err(|error| PatternError {
                pattern: pattern.to_owned(),
                // The crate draws the expression with a mark under it; its last line says what
                // is wrong.
                reason: error
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
            })
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// True when some part of the bytes matches.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(pattern: String) -> Result<Pattern, PatternError> {
        Pattern::new(&pattern)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_expressions_match_anywhere() {
        let pattern = Pattern::new("^HTTP/1\\.[01] (200|30[0-9])[[:space:]]").expect("compiles");
        assert!(pattern.is_in(b"HTTP/1.1 302 Found\r\n"));
        assert!(!pattern.is_in(b"HTTP/1.1 500 Oops\r\n"));
        assert!(Pattern::new("OK").expect("compiles").is_in(b"\xff\xfe OK"));
    }

    #[test]
    fn a_bad_expression_is_refused_with_a_reason() {
        let error = Pattern::new("a(b").expect_err("refused").to_string();
        assert_eq!(error, "`a(b` is no regular expression: unclosed group");
        assert!(Pattern::new(r"(((\w{100}){100}){100})").is_err());
    }
}
