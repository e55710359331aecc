//! Any text as what `uptime` and its like print.
#![no_main]

use caribe_health::probe::Load;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(load) = Load::find(text) {
        assert!((0.0..=Load::HIGHEST).contains(&load.value()));
    }
});
