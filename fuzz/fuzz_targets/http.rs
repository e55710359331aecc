//! Any status and body against conditions on them.
#![no_main]

use caribe_health::probe::http::{Answer, BodyCheck, StatusRanges, judge};
use caribe_health::probe::{Octets, Pattern};
use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &str, &str, &[u8])| {
    let (status, ranges, wanted, body) = input;
    let Ok(status) = StatusCode::from_u16(status) else {
        return;
    };
    let ranges: StatusRanges = ranges.parse().unwrap_or_default();
    assert_eq!(ranges.to_string().parse(), Ok(ranges.clone()));
    let mut checks = vec![BodyCheck::Contains(Octets::from(wanted))];
    if let Ok(pattern) = Pattern::new(wanted) {
        checks.push(BodyCheck::Matches(pattern));
    }
    let answer = Answer {
        status,
        headers: HeaderMap::new(),
        body: body.to_vec(),
        trailers: HeaderMap::new(),
    };
    for check in checks {
        let contains = matches!(check, BodyCheck::Contains(_));
        let (code, _) = judge(&ranges, &[check], &answer);
        let there = wanted.is_empty() || body.windows(wanted.len()).any(|w| w == wanted.as_bytes());
        assert!(!code.passed() || ranges.contains(status.as_u16()));
        if contains {
            assert_eq!(code.passed(), there && ranges.contains(status.as_u16()));
        }
    }
});
