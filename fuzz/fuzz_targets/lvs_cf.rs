//! Any bytes as an lvs.cf: reading ends, without a panic, and the tree loses nothing.
//!
//! It starts from the files of the test corpus, which `Cargo.toml` names.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use caribe_config::tree::Document;
use caribe_config::{FixedResolver, Mode, Severity, Source, Style, parse, render};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let resolver =
        FixedResolver::default().with_host("localhost", IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    let source = Source::new("lvs.cf", text);
    for mode in [Mode::Lenient, Mode::Strict] {
        let (document, _) = Document::read(&source, mode);
        assert_eq!(document.to_bytes(), text, "the tree lost something");
        let parsed = parse(&source, mode, &resolver);
        let refused = parsed
            .diagnostics
            .iter()
            .any(|found| found.severity == Severity::Error);
        assert_eq!(parsed.config.is_none(), refused);
        let shown = render(&parsed.diagnostics, &source, Style::Plain);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()));
    }
});
