//! Any answer, in any two pieces, against any expectation.
#![no_main]

use caribe_health::probe::expect::{Expect, Judgement};
use caribe_health::probe::{Octets, Pattern};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8], &[u8])| {
    let (wanted, begin, rest) = input;
    let mut expectations = vec![Expect::Anything, Expect::Prefix(Octets::from(wanted))];
    if let Ok(pattern) = Pattern::new(wanted) {
        expectations.push(Expect::Regex(pattern));
    }
    let whole = [begin, rest].concat();
    for expect in expectations {
        assert_ne!(expect.judge(&whole, true), Judgement::Undecided);
        // A verdict on what came first does not depend on what would have come.
        if let (Expect::Prefix(_), Judgement::Good) = (&expect, expect.judge(begin, false)) {
            assert_eq!(expect.judge(&whole, true), Judgement::Good);
        }
    }
    if let Ok(octets) = Octets::parse(wanted) {
        assert_eq!(Octets::parse(&octets.to_string()), Ok(octets));
    }
});
