//! Where IPVS's schedulers do what nobody wants, and what to ask for instead.

use caribe_model::{Scheduler, SchedulerFlags};

use crate::config::VirtualService;
use crate::diagnostic::Report;
use crate::meaning::Origin;

/// dh, sh and mh keep the slots of a server with weight 0, so that its clients get no server at
/// all. Recommends the fallback, when there is or may be such a server.
pub(super) fn check(service: &VirtualService, origin: &Origin<'_, '_>, report: &mut Report<'_>) {
    let hint = match service.scheduler {
        Scheduler::Sh => "add `scheduler_flags = sh-fallback`: they then get another server",
        Scheduler::Mh => "add `scheduler_flags = mh-fallback`: they then get another server",
        Scheduler::Dh => {
            "`dh` knows no fallback: use another scheduler, or remove a server rather than give \
             it weight 0"
        }
        _ => return,
    };
    let section = origin.section;
    if service.options.flags.contains(SchedulerFlags::FALLBACK)
        || !section.knows(&["scheduler", "scheduler_flags", "quiesce_server"])
    {
        return;
    }
    let of_weight_0 = service
        .servers
        .iter()
        .find(|server| server.active && server.weight == 0);
    let (span, whom) = match of_weight_0 {
        Some(server) => (
            section.span("scheduler"),
            format!("server `{}`, which has weight 0,", server.name),
        ),
        None if service.quiesce => (
            section.span("quiesce_server"),
            "a server that failed and is quiesced".to_owned(),
        ),
        None => return,
    };
    report
        .warning(
            span,
            "quiesced-keeps-clients",
            format!(
                "with the scheduler `{}`, new connections of the clients of {whom} fail",
                service.scheduler
            ),
        )
        .hint(hint);
}
