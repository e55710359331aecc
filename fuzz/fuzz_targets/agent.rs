//! Any bytes as an agent's line: they are read or refused, and what is read can be shown.
#![no_main]

use caribe_health::probe::agent::AgentReport;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let first = line.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let report = AgentReport::parse(line);
    // What follows the first line does not matter.
    assert_eq!(report, AgentReport::parse(first.unwrap_or_default()));
    if let Ok(report) = report {
        let reason = report.reason.unwrap_or_default();
        assert!(reason.as_str().chars().all(|c| !c.is_control()));
    }
});
