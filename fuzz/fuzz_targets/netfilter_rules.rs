//! Any bytes as netfilter's rules: reading ends, without a panic, and what it makes is lvs.cf.
//!
//! It starts from real lists of rules, which `Cargo.toml` names.
#![no_main]

use caribe_config::{FixedResolver, Mode, Severity, Source, import, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(imported) = import::marks(text) else {
        return;
    };
    let source = Source::new("imported", imported.blocks);
    let parsed = parse(&source, Mode::Lenient, &FixedResolver::default());
    let refused = parsed.diagnostics.iter().any(|found| {
        found.severity == Severity::Error && !matches!(found.code, "empty" | "too-many-marks")
    });
    assert!(!refused, "{:?}", parsed.diagnostics);
});
