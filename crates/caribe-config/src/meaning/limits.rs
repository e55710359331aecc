//! How much the director holds.

use crate::config::Limits;
use crate::settings::Section;

use super::positive;

pub(super) fn limits(settings: &Section<'_>) -> Limits {
    let defaults = Limits::default();
    let number = |key| positive(settings, key).map(u32::from);
    Limits {
        // Their ranges begin with 1.
        services: number("max_services").unwrap_or(defaults.services),
        servers: number("max_servers").unwrap_or(defaults.servers),
        flood_guard: positive(settings, "flood_guard"),
    }
}
