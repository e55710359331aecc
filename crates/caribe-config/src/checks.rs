//! What contradicts itself although every value by itself is legal: the checks that Piranha
//! lacked.
//!
//! What is inactive is skipped: people keep old services and half-made servers in the file, as
//! Piranha's web tool does.

mod limits;
mod marks;
mod recommendations;
mod redundancy;
mod servers;
mod services;
mod vips;

use crate::diagnostic::Report;
use crate::meaning::Meaning;
use crate::settings::Section;

/// Checks a whole file, and settles what services that share a VIP say differently about it.
pub(crate) fn check(
    settings: &Section<'_>,
    meaning: &mut Meaning<'_, '_>,
    report: &mut Report<'_>,
) {
    redundancy::check(settings, &mut meaning.config.redundancy, report);
    services::names(settings, report);
    services::check(settings, meaning, report);
    servers::check(meaning, report);
    marks::check(settings, meaning, report);
    limits::check(settings, meaning, report);
    recommendations::check(meaning, report);
    vips::check(settings, meaning, report);
}
