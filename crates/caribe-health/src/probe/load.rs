//! A load average, and how programs write it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A load average over one minute: finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Load(f64);

// No load is NaN.
impl Eq for Load {}

/// A number that is no load.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is no load average: it must be a number from 0 to {max}", max = Load::HIGHEST)]
pub struct LoadError(f64);

impl Load {
    /// No machine that runs is above; a number beyond is a mistake.
    pub const HIGHEST: f64 = 1e6;

    /// A load of that value.
    ///
    /// # Errors
    ///
    /// It must be between 0 and [`Load::HIGHEST`].
    pub fn new(value: f64) -> Result<Load, LoadError> {
        if (0.0..=Load::HIGHEST).contains(&value) {
            Ok(Load(value))
        } else {
            Err(LoadError(value))
        }
    }

    /// The value.
    pub fn value(self) -> f64 {
        self.0
    }

    /// Finds the first load average in what `uptime`, `rup` or `ruptime` print: the first number
    /// after the word `load`, be it `load average: 0.07, 0.03, 0.01`, `load average 0.07 0.03` or
    /// `load 0,07, 0,03`. A bare number on a line of its own is taken too, so that a program can
    /// be simple.
    ///
    /// Piranha insisted on a colon, so that it could not read `ruptime`.
    pub fn find(text: &str) -> Option<Load> {
        let after = match text.find("load") {
            Some(at) => {
                let rest = &text[at + "load".len()..];
                let line = rest.split('\n').next().unwrap_or_default();
                let digit = line.find(|c: char| c.is_ascii_digit() || c == '-')?;
                &line[digit..]
            }
            None => {
                let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                let line = lines.next()?;
                let bare = |c: char| c.is_ascii_digit() || c == '.';
                if !line.chars().all(bare) || lines.next().is_some() {
                    return None;
                }
                line
            }
        };
        Load::new(leading_number(after)?).ok()
    }
}

/// The number that a text begins with. A comma is a decimal one when a digit follows at once.
fn leading_number(text: &str) -> Option<f64> {
    let digits = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let whole = digits(text);
    if whole == 0 || whole > 12 {
        return None;
    }
    let mut number = text[..whole].to_owned();
    if let Some(fraction) = text[whole..].strip_prefix(['.', ',']) {
        let length = digits(fraction).min(12);
        if length > 0 {
            number.push('.');
            number.push_str(&fraction[..length]);
        }
    }
    number.parse().ok()
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0)
    }
}

impl TryFrom<f64> for Load {
    type Error = LoadError;

    fn try_from(value: f64) -> Result<Load, LoadError> {
        Load::new(value)
    }
}

impl From<Load> for f64 {
    fn from(load: Load) -> f64 {
        load.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Option<f64> {
        Load::find(text).map(Load::value)
    }

    #[test]
    fn what_the_programs_print_is_read() {
        let uptime = " 18:03:17 up 2 days,  3:04,  1 user,  load average: 0.07, 0.03, 0.01\n";
        assert_eq!(found(uptime), Some(0.07));
        let german = " 18:03:17 up 2 days,  1 user,  load average: 12,50, 0,03, 0,01\n";
        assert_eq!(found(german), Some(12.5));
        let rup = "   10.0.0.7    up   5 days,  3:12,    load average: 1.25 0.75, 0.50\n";
        assert_eq!(found(rup), Some(1.25));
        let ruptime = "web1          up    2+03:04,     1 user,   load 0.07, 0.03, 0.01\n";
        assert_eq!(found(ruptime), Some(0.07));
        assert_eq!(found("load: 3, 2, 1"), Some(3.0));
        assert_eq!(found("0.75\n"), Some(0.75));
        assert_eq!(found("2"), Some(2.0));
    }

    #[test]
    fn what_is_no_load_is_not_taken_for_one() {
        for text in [
            "",
            "\n",
            "no idea",
            "load average: -1.0",
            "load average: soon",
            "load\n0.5",
            "1.0\n2.0",
            "1.0 2.0",
            "load 99999999999999",
            "load 9999999",
        ] {
            assert_eq!(found(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_load_is_finite_and_not_negative() {
        for value in [-0.1, f64::NAN, f64::INFINITY, 1e7] {
            assert!(Load::new(value).is_err(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_load_or_none(text in ".*") {
            if let Some(load) = Load::find(&text) {
                prop_assert!((0.0..=Load::HIGHEST).contains(&load.value()));
            }
        }
    }
}
