//! How requests spread: asked for, counted, printed and judged.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use caribe_lab::{Burst, Curl, Host};

use super::configuration::Service;

/// Sends `count` requests to a service, each over a connection of its own.
pub(super) fn ask(client: &Host, service: &Service, count: usize) -> Result<Burst> {
    let burst = Curl::on(client).burst(&service.url(), count, 1)?;
    println!(
        "    {:8} {:28} {}",
        service.name(),
        service.url(),
        bars(&burst)
    );
    Ok(burst)
}

/// How far a count may be off. A client that takes a port again while the director remembers its
/// last connection comes to the same server as before, past the scheduler: that is IPVS's way.
const LEEWAY: usize = 4;

/// Refuses a failure, an answer of an unexpected server, and a count that is off by more than
/// that.
pub(super) fn expect(service: &Service, burst: &Burst, expected: &[(&str, usize)]) -> Result<()> {
    if burst.failed() > 0 {
        bail!("{}: requests failed: {:?}", service.name(), burst.failures);
    }
    let wanted: BTreeMap<&str, usize> = expected.iter().copied().collect();
    let strangers = burst
        .answers
        .keys()
        .any(|name| !wanted.contains_key(name.as_str()));
    let off = wanted.iter().any(|(&name, count)| {
        let answered = burst.answers.get(name).copied().unwrap_or_default();
        answered.abs_diff(*count) > LEEWAY
    });
    if strangers || off {
        bail!(
            "{}: answers came from {:?}, expected about {wanted:?}",
            service.name(),
            burst.answers
        );
    }
    Ok(())
}

/// `web1 ########## 10   web2 ...`.
fn bars(burst: &Burst) -> String {
    let mut text: Vec<String> = burst
        .answers
        .iter()
        .map(|(server, count)| format!("{server} {:<12} {count:3}", "#".repeat(count.div_ceil(2))))
        .collect();
    if burst.failed() > 0 {
        text.push(format!("failed {:?}", burst.failures));
    }
    text.join("  ")
}
