//! Values of `monitor` blocks: times, status codes, headers, expressions, names.

use std::time::Duration;

use regex::bytes::RegexBuilder;

use crate::config::StatusSet;

/// Below this a monitor would do nothing but check.
const SHORTEST_TIME: Duration = Duration::from_millis(10);
/// A day.
const LONGEST_TIME: Duration = Duration::from_secs(86_400);
/// Most bytes of a compiled regular expression.
const LARGEST_REGEX: usize = 1 << 20;

/// Reads a time: `10`, `0.5`, `10s`, `500ms`.
pub(crate) fn time(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let (number, nanoseconds) = match text.strip_suffix("ms") {
        Some(number) => (number, 1_000_000),
        None => (text.strip_suffix('s').unwrap_or(text), 1_000_000_000),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| {
        let plain = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse::<u64>().ok()).flatten()
    };
    let places = u32::try_from(fraction.len()).ok()?;
    let (whole, fraction) = (digits(whole)?, digits(fraction)?);
    let time = Duration::from_nanos(
        whole * nanoseconds + fraction * nanoseconds / 10_u64.checked_pow(places)?,
    );
    (SHORTEST_TIME..=LONGEST_TIME)
        .contains(&time)
        .then_some(time)
}

/// Reads status codes and ranges of them, as in `200-299,301`.
pub(crate) fn statuses(text: &[u8]) -> Option<StatusSet> {
    let text = std::str::from_utf8(text).ok()?;
    let ranges = text.split(',').map(|piece| {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        let code = |text: &str| {
            let plain = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
            let code = text.parse::<u16>().ok().filter(|_| plain)?;
            (100..=599).contains(&code).then_some(code)
        };
        let (first, last) = (code(first)?, code(last)?);
        (first <= last).then_some(first..=last)
    });
    StatusSet::new(ranges.collect::<Option<Vec<_>>>()?)
}

/// Reads a header, `Name: value`.
///
/// What it refuses comes back as a hint.
pub(crate) fn header(text: &[u8]) -> Result<(String, String), &'static str> {
    const USUAL: &str = "write it as in \"X-Check: director\"";
    let text = std::str::from_utf8(text).map_err(|_| USUAL)?;
    let (name, value) = text.split_once(':').ok_or(USUAL)?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("the name of a header has letters, digits and `-`");
    }
    let own_key = ["host", "content-length", "transfer-encoding", "connection"];
    match own_key.iter().find(|own| name.eq_ignore_ascii_case(own)) {
        Some(&"host") => return Err("there is a key `host` for it"),
        Some(_) => return Err("it is set as the request needs it"),
        None => {}
    }
    let value = value.trim_matches([' ', '\t']);
    let legal = |character: char| character == '\t' || !character.is_control();
    match value.chars().all(legal) {
        true => Ok((name.to_owned(), value.to_owned())),
        false => Err("the value of a header has no control characters"),
    }
}

/// Says what is wrong with a regular expression, if anything is.
pub(crate) fn regex_fault(pattern: &str) -> Option<String> {
    let built = RegexBuilder::new(pattern)
        .size_limit(LARGEST_REGEX)
        .dfa_size_limit(LARGEST_REGEX)
        .build();
    let error = built.err()?.to_string();
    // The expression is drawn with a mark under it; the last line says what is wrong.
    let last = error.lines().last().unwrap_or_default();
    Some(last.trim_start_matches("error: ").to_owned())
}

/// Whether a text can be the name of a host or domain, or an address.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'[' | b']')
        })
}

/// Whether a text can be path and query of a URL.
pub(crate) fn is_url_path(text: &str) -> bool {
    text.starts_with('/')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_milliseconds() {
        let milliseconds = |text: &str| time(text.as_bytes()).map(|time| time.as_millis());
        assert_eq!(milliseconds("10"), Some(10_000));
        assert_eq!(milliseconds("0.5"), Some(500));
        assert_eq!(milliseconds("1.25s"), Some(1_250));
        assert_eq!(milliseconds("500ms"), Some(500));
        assert_eq!(milliseconds("10ms"), Some(10));
        assert_eq!(milliseconds("86400"), Some(86_400_000));
        for bad in [
            "",
            "0",
            "9ms",
            "86401",
            "-1",
            "1.",
            ".5",
            "1e3",
            "5m",
            "ms",
            "s",
            "1 s",
            "+1",
            "0x10",
            "1.0000000001",
            "9999999999",
            "\u{661}",
        ] {
            assert_eq!(milliseconds(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn statuses_are_codes_and_ranges() {
        let set = statuses(b"301,200-299").expect("codes");
        assert!(set.contains(204) && set.contains(301) && !set.contains(300));
        assert_eq!(set.to_string(), "200-299,301");
        for bad in [
            "", "99", "600", "299-200", "2xx", "200,", "200 301", "0200", "+20",
        ] {
            assert_eq!(statuses(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn headers_have_a_name_and_a_value() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(header(b"X-Check: a: b "), pair("X-Check", "a: b"));
        assert_eq!(header(b"Accept:"), pair("Accept", ""));
        for bad in [
            "",
            "X-Check",
            ": a",
            "a b: c",
            "Host: x",
            "content-LENGTH: 3",
            "a: b\r\nc: d",
            "\u{e9}: a",
        ] {
            assert!(header(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn expressions_are_those_of_the_monitors() {
        assert_eq!(regex_fault(r"^HTTP/1\.[01] (200|302)"), None);
        assert_eq!(regex_fault("[[:alpha:]]+"), None);
        assert_eq!(regex_fault("a("), Some("unclosed group".to_owned()));
        assert!(regex_fault(r"(a)\1").is_some());
        assert!(regex_fault("(a{1000}){1000}").is_some());
    }

    #[test]
    fn names_and_paths() {
        for good in [
            "www.example",
            "_http._tcp.example.",
            ".",
            "192.0.2.1",
            "[2001:db8::1]:80",
        ] {
            assert!(is_name(good), "{good:?}");
        }
        for bad in ["", "a b", "a/b", "\u{e9}", "a\r\nb"] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_url_path("/a?b=c&d"));
        for bad in ["", "a", "/a b", "/a#b", "/\r", "/\u{e9}"] {
            assert!(!is_url_path(bad), "{bad:?}");
        }
    }
}
