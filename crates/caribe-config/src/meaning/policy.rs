//! How connections are kept, reused and dropped.

use caribe_model::{Defence, Policy, ReuseMode, Tuning};

use crate::settings::Section;

use super::number;

pub(super) fn tuning(settings: &Section<'_>) -> Tuning {
    Tuning {
        drop_entry: defence(settings, "drop_entry"),
        drop_packet: defence(settings, "drop_packet"),
        drop_rate: number(settings, "am_droprate"),
        flood_guard: number(settings, "flood_guard"),
        nat_icmp_send: settings.boolean("nat_icmp_send"),
        schedule_icmp: settings.boolean("schedule_icmp"),
        lblc_expiration: number(settings, "lblc_expiration"),
        lblcr_expiration: number(settings, "lblcr_expiration"),
    }
}

/// What holds for every service that says nothing else; each key has a default.
pub(super) fn of_the_file(settings: &Section<'_>) -> (Policy, Defence) {
    of(settings, |_| true, (Policy::default(), Defence::Off))
}

/// What holds for a service.
pub(super) fn of_a_service(section: &Section<'_>, file: (Policy, Defence)) -> (Policy, Defence) {
    let (policy, secure_tcp) = of(section, |key| section.get(key).is_some(), file);
    let policy = Policy {
        mss_clamp: section.mss("mss_clamp"),
        ..policy
    };
    (policy, secure_tcp)
}

fn of(
    section: &Section<'_>,
    says: impl Fn(&str) -> bool,
    (otherwise, secure_tcp): (Policy, Defence),
) -> (Policy, Defence) {
    let boolean = |key, otherwise| match says(key) {
        true => section.boolean(key),
        false => otherwise,
    };
    let secure_tcp = match says("secure_tcp") {
        true => defence(section, "secure_tcp"),
        false => secure_tcp,
    };
    let policy = Policy {
        expire_nodest_conn: boolean("expire_nodest_conn", otherwise.expire_nodest_conn),
        expire_quiescent_template: boolean(
            "expire_quiescent_template",
            otherwise.expire_quiescent_template,
        ),
        conn_reuse_mode: match says("conn_reuse_mode") {
            true => u8::try_from(number(section, "conn_reuse_mode"))
                .ok()
                .and_then(ReuseMode::from_bits)
                .unwrap_or_default(), // its range fits
            false => otherwise.conn_reuse_mode,
        },
        sloppy_tcp: boolean("sloppy_tcp", otherwise.sloppy_tcp),
        sloppy_sctp: boolean("sloppy_sctp", otherwise.sloppy_sctp),
        secure_tcp: secure_tcp == Defence::On,
        cache_bypass: boolean("cache_bypass", otherwise.cache_bypass),
        pmtu_disc: boolean("pmtu_disc", otherwise.pmtu_disc),
        mss_clamp: otherwise.mss_clamp,
    };
    (policy, secure_tcp)
}

/// IPVS's modes; 2 is what it writes itself while mode 1 is in effect.
fn defence(section: &Section<'_>, key: &str) -> Defence {
    match section.integer(key) {
        1 | 2 => Defence::Automatic,
        3 => Defence::On,
        _ => Defence::Off,
    }
}
