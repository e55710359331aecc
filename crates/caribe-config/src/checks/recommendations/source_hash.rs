//! Weights that IPVS's scheduler `sh` makes something else of than they say: its table has 256
//! places, and the servers take theirs in turns as long as their weights.

use caribe_model::{
    HASH_BUCKETS, Scheduler, Unfair, smallest_of_same_ratios, unfairest_of_source_hash,
};

use super::and_others;
use crate::config::{RealServer, VirtualService};
use crate::diagnostic::{Report, shown};
use crate::meaning::Meaning;

/// A share may be off by this much.
const TOLERATED: f64 = 0.01;

pub(super) fn check(meaning: &Meaning<'_, '_>, report: &mut Report<'_>) {
    let services = meaning.config.services.iter().zip(&meaning.origins);
    let mut about = services.filter_map(|(service, origin)| {
        let is_hashed = service.active && service.scheduler == Scheduler::Sh;
        let unfair = unfairest(service).filter(|_| is_hashed)?;
        Some((service, origin, unfair))
    });
    let Some((service, origin, (server, unfair))) = about.next() else {
        return;
    };
    let others = and_others(about.count());
    let percent = |part: f64| format!("{:.1} %", part * 100.0);
    report
        .note(
            origin.section.span("scheduler"),
            "weights-beyond-the-table",
            format!(
                "in `{}`{others}, the scheduler `sh` gives the server {} {} of the clients, where \
                 its weight asks for {}: as in IPVS, its table has {HASH_BUCKETS} places, of which \
                 each server in turn takes as many as its weight says",
                service.name,
                shown(server.name.as_bytes()),
                percent(unfair.share),
                percent(unfair.fair)
            ),
        )
        .hint(better(service));
}

/// Its servers, newest first, as the table is laid out.
fn servers(service: &VirtualService) -> impl Iterator<Item = &RealServer> {
    let servers = service.servers.iter().rev();
    servers.filter(|server| server.active)
}

fn weights(service: &VirtualService) -> Vec<u32> {
    servers(service).map(|server| server.weight).collect()
}

/// The server that is off by the most, if that is too much.
fn unfairest(service: &VirtualService) -> Option<(&RealServer, Unfair)> {
    let unfair = unfairest_of_source_hash(&weights(service))?;
    let server = servers(service).nth(unfair.place)?;
    (unfair.deviation() > TOLERATED).then_some((server, unfair))
}

/// What to write instead.
fn better(service: &VirtualService) -> String {
    let mut smaller = smallest_of_same_ratios(&weights(service));
    let unfair = unfairest_of_source_hash(&smaller);
    let mh = "`scheduler = mh`, whose shares follow the weights";
    if unfair.is_some_and(|unfair| unfair.deviation() > TOLERATED) {
        return format!("write {mh}");
    }
    smaller.reverse();
    let smaller: Vec<String> = smaller.iter().map(u32::to_string).collect();
    format!(
        "write the weights {}, in the order of the file: their ratios are the same, and the table \
         has room for many turns; or write {mh}",
        smaller.join(", ")
    )
}
