//! Where IPVS's defaults, and advice that was good for it, hurt: what to ask for instead.
//!
//! A recommendation is made once in a file, at the first service that it is about, and only when
//! the file makes it matter.

mod source_hash;

use caribe_model::{Protocol, Scheduler, SchedulerFlags};

use crate::Mode;
use crate::config::VirtualService;
use crate::diagnostic::Report;
use crate::meaning::Meaning;

struct Recommendation {
    code: &'static str,
    /// Where to point.
    key: &'static str,
    applies: fn(&VirtualService) -> bool,
    /// What happens otherwise.
    reason: &'static str,
    /// What to write, and what it does.
    hint: &'static str,
}

const RECOMMENDATIONS: [Recommendation; 6] = [
    Recommendation {
        code: "datagrams-to-removed-servers",
        key: "protocol",
        applies: |service| {
            service.protocol == Protocol::Udp
                && !service.one_packet
                && !service.policy.expire_nodest_conn
                && has_choice(service)
        },
        reason: "when a server is removed, the datagrams of its clients are dropped until their \
                 connections time out, as in IPVS",
        hint: "write `expire_nodest_conn = 1`, in the service or outside all blocks: their next \
               datagram then finds another server",
    },
    Recommendation {
        code: "persistence-outlives-quiescing",
        key: "persistent",
        applies: |service| {
            service.persistence.is_some()
                && !service.policy.expire_quiescent_template
                && may_be_quiesced(service)
                && has_choice(service)
        },
        reason: "clients of a server that is quiesced (weight 0) are sent to it for as long as \
                 they come back in time, as in IPVS",
        hint: "write `expire_quiescent_template = 1`, in the service or outside all blocks: they \
               then get another server",
    },
    Recommendation {
        code: "reused-ports-join-old-connections",
        key: "conn_reuse_mode",
        applies: |service| {
            service.protocol == Protocol::Tcp
                && service.policy.conn_reuse_mode.bits() == 0
                && has_choice(service)
        },
        reason: "a client that uses a port again soon, as those behind NAT do, joins its old \
                 connection, even to a quiesced server",
        hint: "write `conn_reuse_mode = 1`: the delay that 0 is the cure for came from \
               netfilter's connection tracking, which balanced packets do not pass",
    },
    Recommendation {
        code: "quiesced-keeps-clients",
        key: "scheduler",
        applies: |service| is_hashed(service, Scheduler::Sh),
        reason: "with the scheduler `sh`, new connections of the clients of a server that is \
                 quiesced (weight 0) fail, as in IPVS",
        hint: "write `scheduler_flags = sh-fallback`: they then get another server",
    },
    Recommendation {
        code: "quiesced-keeps-clients",
        key: "scheduler",
        applies: |service| is_hashed(service, Scheduler::Mh),
        reason: "with the scheduler `mh`, new connections of the clients of a server that is \
                 quiesced (weight 0) fail, as in IPVS",
        hint: "write `scheduler_flags = mh-fallback`: they then get another server",
    },
    Recommendation {
        code: "quiesced-keeps-clients",
        key: "scheduler",
        applies: |service| is_hashed(service, Scheduler::Dh),
        reason: "with the scheduler `dh`, new connections to the addresses of a server that is \
                 quiesced (weight 0) fail, as in IPVS",
        hint: "`dh` knows no fallback: write `scheduler = mh` and `scheduler_flags = \
               mh-fallback`, or remove servers rather than quiesce them",
    },
];

pub(super) fn check(meaning: &Meaning<'_, '_>, report: &mut Report<'_>) {
    if report.mode() == Mode::Strict || report.has_errors() {
        return;
    }
    source_hash::check(meaning, report);
    for recommendation in &RECOMMENDATIONS {
        let services = meaning.config.services.iter().zip(&meaning.origins);
        let mut about =
            services.filter(|(service, _)| service.active && (recommendation.applies)(service));
        let Some((first, origin)) = about.next() else {
            continue;
        };
        let others = and_others(about.count());
        report
            .note(
                origin.section.span(recommendation.key),
                recommendation.code,
                format!("in `{}`{others}, {}", first.name, recommendation.reason),
            )
            .hint(recommendation.hint);
    }
}

/// How many more services a recommendation is about.
fn and_others(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => " and one other".to_owned(),
        others => format!(" and {others} others"),
    }
}

/// There is another server to go to.
fn has_choice(service: &VirtualService) -> bool {
    service
        .servers
        .iter()
        .filter(|server| server.active)
        .count()
        > 1
}

fn is_hashed(service: &VirtualService, scheduler: Scheduler) -> bool {
    service.scheduler == scheduler
        && !service.options.flags.contains(SchedulerFlags::FALLBACK)
        && may_be_quiesced(service)
}

/// A server has weight 0, or will have when it fails or leaves the file.
fn may_be_quiesced(service: &VirtualService) -> bool {
    let mut active = service.servers.iter().filter(|server| server.active);
    service.quiesce || !service.drain_timeout.is_zero() || active.any(|server| server.weight == 0)
}
