//! Ranges of status codes.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The statuses of a good answer, written as `200`, `200-299` or several of them with commas.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StatusRanges(Vec<RangeInclusive<u16>>);

/// Text that names no statuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no HTTP statuses: write `200`, `200-299` or `200,204,300-399`, within 100-599"
)]
pub struct StatusRangesError(String);

impl StatusRanges {
    /// True when the status is in one of the ranges.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl Default for StatusRanges {
    /// Success and redirection.
    fn default() -> StatusRanges {
        StatusRanges(vec![200..=399])
    }
}

impl FromStr for StatusRanges {
    type Err = StatusRangesError;

    fn from_str(text: &str) -> Result<StatusRanges, StatusRangesError> {
        let status = |text: &str| {
            let text = text.trim();
            let is_status = text.len() == 3 && text.bytes().all(|digit| digit.is_ascii_digit());
            let number = text.parse().ok().filter(|_| is_status);
            number.filter(|number| (100..=599u16).contains(number))
        };
        text.split(',')
            .map(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let range = status(first)?..=status(last)?;
                (!range.is_empty()).then_some(range)
            })
            .collect::<Option<Vec<_>>>()
            .map(StatusRanges)
            .ok_or_else(|| StatusRangesError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for StatusRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, range) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            if range.start() == range.end() {
                write!(f, "{}", range.start())?;
            } else {
                write!(f, "{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for StatusRanges {
    type Error = StatusRangesError;

    fn try_from(text: String) -> Result<StatusRanges, StatusRangesError> {
        text.parse()
    }
}

impl From<StatusRanges> for String {
    fn from(ranges: StatusRanges) -> String {
        ranges.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_written() {
        let ranges: StatusRanges = "200, 204 ,300-399".parse().expect("read");
        assert_eq!(ranges.to_string(), "200,204,300-399");
        for status in [200, 204, 300, 399] {
            assert!(ranges.contains(status), "{status}");
        }
        for status in [199, 201, 400, 0] {
            assert!(!ranges.contains(status), "{status}");
        }
    }

    #[test]
    fn what_is_no_status_is_refused() {
        for text in [
            "", ",", "99", "600", "20", "2000", "299-200", "200-", "-", "+20", "200;201",
        ] {
            assert!(text.parse::<StatusRanges>().is_err(), "{text}");
        }
    }
}
