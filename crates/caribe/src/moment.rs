//! Dates, at the border: everything inside counts from a start.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "what carries a date is told by the date"
)]
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // Before 1970 nothing has an age.
    since.map_or(0, |since| since.as_secs())
}

/// Seconds since 1970 as a date and a time of UTC.
pub(crate) fn utc(seconds: u64) -> String {
    let date = i64::try_from(seconds).ok();
    let date = date.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let text = date.and_then(|date| date.format(&Rfc3339).ok());
    // A clock that is set beyond the year 9999.
    text.unwrap_or_else(|| format!("{seconds} s after 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_a_date() {
        assert_eq!(utc(1_800_000_000), "2027-01-15T08:00:00Z");
        assert_eq!(utc(u64::MAX), format!("{} s after 1970", u64::MAX));
        assert!(now() > 1_700_000_000);
    }
}
