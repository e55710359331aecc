//! Thresholds of a server.

use crate::config::RealServer;
use crate::diagnostic::Report;
use crate::settings::Section;

/// IPVS refuses a lower one above the upper one, and 0 is below all others.
pub(super) fn thresholds(server: &RealServer, section: &Section<'_>, report: &mut Report<'_>) {
    let Some(lower) = server.thresholds.lower else {
        return;
    };
    if server.thresholds.upper.is_some_and(|upper| lower <= upper)
        || !section.knows(&["upper_threshold"])
    {
        return;
    }
    let (what, hint) = match server.thresholds.upper {
        Some(upper) => (
            format!("over its `upper_threshold` of {upper}"),
            "write a smaller one, or leave it out: three quarters of the upper one".to_owned(),
        ),
        None => (
            "without an `upper_threshold`".to_owned(),
            "add `upper_threshold`, or remove it".to_owned(),
        ),
    };
    report
        .error(
            section.span("lower_threshold"),
            "lower-threshold",
            format!("server `{}` has a `lower_threshold` of {lower} {what}", server.name),
        )
        .hint(hint);
}
