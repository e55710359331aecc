//! What an `http` or `https` monitor asks, and which answers are good.

use std::fmt;
use std::ops::RangeInclusive;

use super::Tls;

/// An HTTP check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Inside TLS: an `https` monitor.
    pub tls: Option<Tls>,
    /// `version`.
    pub version: HttpVersion,
    /// `method`.
    pub method: HttpMethod,
    /// `path`, with its query.
    pub path: String,
    /// `host`; `None`: the server's address.
    pub host: Option<String>,
    /// `header`, in the order of the file: names and values.
    pub headers: Vec<(String, String)>,
    /// `status`.
    pub status: StatusSet,
    /// `body` and `body_regex`; all must be found.
    pub body: Vec<BodyMatch>,
}

/// Version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1.
    V1,
    /// HTTP/2; without TLS at once, without an upgrade.
    V2,
}

/// Method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as in HTTP")]
pub enum HttpMethod {
    Get,
    Head,
    Options,
    Post,
}

/// What an answer's body must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyMatch {
    /// This text.
    Contains(String),
    /// A match of this regular expression, a legal one.
    Regex(String),
}

/// Status codes, 100 to 599; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet {
    ranges: Vec<RangeInclusive<u16>>,
}

impl StatusSet {
    /// The union of ranges; `None` when there is none, or one is empty or leaves 100 to 599.
    pub fn new(mut ranges: Vec<RangeInclusive<u16>>) -> Option<Self> {
        let legal = |range: &RangeInclusive<u16>| {
            !range.is_empty() && *range.start() >= 100 && *range.end() <= 599
        };
        if ranges.is_empty() || !ranges.iter().all(legal) {
            return None;
        }
        ranges.sort_by_key(|range| *range.start());
        Some(StatusSet { ranges })
    }

    /// The ranges, ordered by where they begin.
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.ranges
    }

    /// Whether a code is among them.
    pub fn contains(&self, status: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&status))
    }
}

impl fmt::Display for StatusSet {
    /// As in lvs.cf: `200-299,301`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.ranges.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match range.start() == range.end() {
                true => write!(f, "{comma}{}", range.start())?,
                false => write!(f, "{comma}{}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}
