//! How much the director holds.

use crate::config::Limits;
use crate::settings::Section;

use super::number;

pub(super) fn limits(settings: &Section<'_>) -> Limits {
    Limits {
        services: number(settings, "max_services"),
        servers: number(settings, "max_servers"),
    }
}
