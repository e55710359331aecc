//! Any bytes as a name server's answer: they are judged, and only an answer to the question
//! passes.
#![no_main]

use caribe_health::probe::Code;
use caribe_health::probe::dns::{DnsCheck, DnsKind, DnsName, DnsReply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The identity is the answer's own, so that more than the first test is reached.
    let Some((identity, _)) = bytes.split_first_chunk() else {
        return;
    };
    let identity = u16::from_be_bytes(*identity);
    let name = DnsName::try_from("www.example.org".to_owned()).expect("a name");
    for (kind, expect) in [(DnsKind::A, None), (DnsKind::Txt, Some("up".to_owned()))] {
        let name = name.clone();
        let check = DnsCheck { name, kind, expect };
        assert_eq!(check.judge(!identity, bytes), DnsReply::Stray);
        if let DnsReply::Judged(code, _) = check.judge(identity, bytes) {
            assert!(matches!(
                code,
                Code::L7Ok | Code::L7Status | Code::L7Response
            ));
        }
    }
});
