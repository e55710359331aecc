//! How connections are kept, reused and dropped.

use crate::config::{ConnectionReuse, Defence, DirectorPolicy, ServicePolicy};
use crate::settings::Section;

use super::{positive, seconds, small};

pub(super) fn of_the_director(settings: &Section<'_>) -> DirectorPolicy {
    DirectorPolicy {
        drop_entry: defence(settings, "drop_entry"),
        drop_packet: defence(settings, "drop_packet"),
        // Its range begins with 1.
        drop_rate: positive(settings, "am_droprate")
            .unwrap_or(DirectorPolicy::default().drop_rate),
        nat_icmp_send: settings.boolean("nat_icmp_send"),
        schedule_icmp: settings.boolean("schedule_icmp"),
        lblc_expiration: seconds(settings, "lblc_expiration"),
        lblcr_expiration: seconds(settings, "lblcr_expiration"),
    }
}

/// What holds for every service that says nothing else; each key has a default.
pub(super) fn of_the_file(settings: &Section<'_>) -> ServicePolicy {
    of(settings, |_| true, ServicePolicy::default())
}

/// What holds for a service.
pub(super) fn of_a_service(section: &Section<'_>, file: ServicePolicy) -> ServicePolicy {
    of(section, |key| section.get(key).is_some(), file)
}

fn of(section: &Section<'_>, says: impl Fn(&str) -> bool, otherwise: ServicePolicy) -> ServicePolicy {
    let boolean = |key, otherwise| match says(key) {
        true => section.boolean(key),
        false => otherwise,
    };
    ServicePolicy {
        expire_without_server: boolean("expire_nodest_conn", otherwise.expire_without_server),
        expire_quiescent_template: boolean(
            "expire_quiescent_template",
            otherwise.expire_quiescent_template,
        ),
        reuse: match says("conn_reuse_mode") {
            true => ConnectionReuse::from_mode(small(section, "conn_reuse_mode"))
                .unwrap_or_default(), // its range fits
            false => otherwise.reuse,
        },
        sloppy_tcp: boolean("sloppy_tcp", otherwise.sloppy_tcp),
        sloppy_sctp: boolean("sloppy_sctp", otherwise.sloppy_sctp),
        secure_tcp: match says("secure_tcp") {
            true => defence(section, "secure_tcp"),
            false => otherwise.secure_tcp,
        },
        cache_bypass: boolean("cache_bypass", otherwise.cache_bypass),
        path_mtu_discovery: boolean("pmtu_disc", otherwise.path_mtu_discovery),
    }
}

fn defence(section: &Section<'_>, key: &str) -> Defence {
    Defence::from_mode(small(section, key)).unwrap_or_default() // its range fits
}
