//! What a server is expected to say, and whether it said it.

use serde::{Deserialize, Serialize};

use super::text::Quoted;
use super::{Octets, Pattern};

/// What the first bytes of an answer must be: Piranha's `expect`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// Any answer will do, as long as it is one: Piranha's `*`.
    Anything,
    /// The answer begins with these bytes.
    Prefix(Octets),
    /// The expression matches somewhere in the first [`Expect::LONGEST`] bytes (`use_regex`).
    Regex(Pattern),
}

/// What is known of an answer so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is as expected.
    Good,
    /// More of it may decide.
    Undecided,
    /// It cannot become what is expected any more; the reason.
    Bad(String),
}

impl Expect {
    /// No more than this is read of an answer. (Piranha read 254 bytes.)
    pub const LONGEST: usize = 4096;

    /// Judges the bytes that have come; `ended` when there will be no more.
    ///
    /// Piranha judged what its one read happened to give, so that an answer in two segments was
    /// a failure. Here the rest is waited for.
    pub fn judge(&self, bytes: &[u8], ended: bool) -> Judgement {
        let ended = ended || bytes.len() >= Expect::LONGEST;
        match self {
            Expect::Anything if !bytes.is_empty() => Judgement::Good,
            Expect::Anything if ended => Judgement::Bad("no answer".to_owned()),
            Expect::Anything => Judgement::Undecided,
            Expect::Prefix(prefix) => judge_prefix(prefix.as_bytes(), bytes, ended),
            Expect::Regex(pattern) if pattern.is_in(bytes) => Judgement::Good,
            Expect::Regex(pattern) if ended => Judgement::Bad(format!(
                "{} does not match /{}/",
                Quoted(bytes),
                pattern.as_str()
            )),
            Expect::Regex(_) => Judgement::Undecided,
        }
    }

    /// Judges a datagram or the whole output of a program.
    pub fn judge_whole(&self, bytes: &[u8]) -> Result<(), String> {
        match self.judge(bytes, true) {
            Judgement::Good => Ok(()),
            Judgement::Bad(reason) => Err(reason),
            // What has ended is decided.
            Judgement::Undecided => Err("no answer".to_owned()),
        }
    }
}

fn judge_prefix(prefix: &[u8], bytes: &[u8], ended: bool) -> Judgement {
    if bytes.starts_with(prefix) {
        return Judgement::Good;
    }
    if !prefix.starts_with(bytes) {
        let (got, wanted) = (Quoted(bytes), Quoted(prefix));
        return Judgement::Bad(format!("{got} does not begin with {wanted}"));
    }
    if ended {
        let (got, wanted) = (Quoted(bytes), Quoted(prefix));
        return Judgement::Bad(format!("too short: {got} instead of {wanted}"));
    }
    Judgement::Undecided
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Expect {
        Expect::Prefix(text.into())
    }

    fn regex(text: &str) -> Expect {
        Expect::Regex(Pattern::new(text).expect("compiles"))
    }

    #[test]
    fn a_prefix_is_compared_with_case() {
        assert_eq!(prefix("HTTP").judge(b"HTTP/1.0", false), Judgement::Good);
        assert!(matches!(
            prefix("HTTP").judge(b"http/1.0", false),
            Judgement::Bad(_)
        ));
    }

    #[test]
    fn a_prefix_that_comes_in_pieces_is_waited_for() {
        assert_eq!(prefix("HTTP").judge(b"HT", false), Judgement::Undecided);
        assert_eq!(
            prefix("HTTP").judge(b"HT", true),
            Judgement::Bad("too short: `HT` instead of `HTTP`".to_owned())
        );
        assert!(matches!(
            prefix("HTTP").judge(b"HX", false),
            Judgement::Bad(_)
        ));
    }

    #[test]
    fn an_asterisk_needs_an_answer_nevertheless() {
        assert_eq!(Expect::Anything.judge(b"", false), Judgement::Undecided);
        assert!(matches!(
            Expect::Anything.judge(b"", true),
            Judgement::Bad(_)
        ));
        assert_eq!(Expect::Anything.judge(b"\0", false), Judgement::Good);
    }

    #[test]
    fn an_expression_is_judged_on_all_that_came() {
        assert_eq!(regex("a.c").judge(b"xxabc", false), Judgement::Good);
        assert_eq!(regex("a.c").judge(b"xxab", false), Judgement::Undecided);
        assert!(matches!(
            regex("a.c").judge(b"xxab", true),
            Judgement::Bad(_)
        ));
        let full = vec![b'x'; Expect::LONGEST];
        assert!(matches!(regex("a").judge(&full, false), Judgement::Bad(_)));
    }

    proptest! {
        #[test]
        fn what_has_ended_is_decided(bytes: Vec<u8>, wanted: Vec<u8>) {
            for expect in [Expect::Anything, Expect::Prefix(Octets::new(wanted)), regex("a")] {
                prop_assert_ne!(expect.judge(&bytes, true), Judgement::Undecided);
            }
        }

        #[test]
        fn more_bytes_never_change_a_verdict(bytes: Vec<u8>, more: Vec<u8>, wanted: Vec<u8>) {
            let mut longer = bytes.clone();
            longer.extend(more);
            for expect in [Expect::Anything, Expect::Prefix(Octets::new(wanted))] {
                let (before, after) = (expect.judge(&bytes, false), expect.judge(&longer, false));
                match before {
                    Judgement::Good => prop_assert_eq!(after, Judgement::Good),
                    Judgement::Bad(_) => prop_assert!(matches!(after, Judgement::Bad(_))),
                    Judgement::Undecided => {}
                }
            }
        }
    }
}
