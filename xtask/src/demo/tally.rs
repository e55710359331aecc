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

/// Refuses anything but `expected` answers of each server, and no failure.
pub(super) fn expect(service: &Service, burst: &Burst, expected: &[(&str, usize)]) -> Result<()> {
    let wanted: BTreeMap<String, usize> = expected
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(server, count)| ((*server).to_owned(), *count))
        .collect();
    if burst.failed() > 0 {
        bail!("{}: requests failed: {:?}", service.name(), burst.failures);
    }
    if burst.answers != wanted {
        bail!(
            "{}: answers came from {:?}, expected {wanted:?}",
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
