//! What a service has besides its servers, and by which keys.

use caribe_model::{Defence, MssClamp, Netmask, Persistence, SchedulerFlags, Service};

use crate::config::VirtualService;
use crate::tree::{Block, EditError};

/// What a service has that no key of lvs.cf can say, if anything.
pub(super) fn fault(service: &Service) -> Option<&'static str> {
    let known = SchedulerFlags::of(service.scheduler).iter();
    let known = known.fold(SchedulerFlags::default(), |all, (_, flag)| all.with(*flag));
    if !known.contains(service.options.flags) {
        return Some("it has flags that its scheduler does not know: take them out");
    }
    match service.persistence.map(|persistence| persistence.netmask) {
        Some(Netmask::V4(mask)) if u32::from(mask).count_zeros() == 32 => {
            Some("lvs.cf takes the netmask 0.0.0.0 for none: write another one")
        }
        Some(Netmask::V4(mask))
            if u32::from(mask).leading_ones() < u32::from(mask).count_ones() =>
        {
            Some("the netmask of its persistence is not contiguous: write another one")
        }
        _ => None,
    }
}

/// Sets the keys whose meaning differs from what the service is.
pub(super) fn write(
    block: &mut Block,
    meant: &VirtualService,
    service: &Service,
) -> Result<(), EditError> {
    if meant.scheduler != service.scheduler {
        block.set("scheduler", &[service.scheduler.name()])?;
    }
    if meant.options.flags != service.options.flags || meant.scheduler != service.scheduler {
        let all = SchedulerFlags::of(service.scheduler).iter();
        let names: Vec<&str> = all
            .filter(|(_, flag)| service.options.flags.contains(*flag))
            .map(|(name, _)| *name)
            .collect();
        match names.as_slice() {
            [] => {
                block.body_mut().remove("scheduler_flags");
            }
            names => block.set("scheduler_flags", names)?,
        }
    }
    if meant.options.table_size != service.options.table_size {
        let slots = service.options.table_size.slots().to_string();
        block.set("mh_table_size", &[&slots])?;
    }
    if meant.persistence != service.persistence {
        persistence(block, meant, service.persistence.as_ref())?;
    }
    if meant.one_packet != service.one_packet {
        block.set("one_packet", &[bit(service.one_packet)])?;
    }
    policy(block, meant, service)
}

fn persistence(
    block: &mut Block,
    meant: &VirtualService,
    persistence: Option<&Persistence>,
) -> Result<(), EditError> {
    let Some(persistence) = persistence else {
        block.body_mut().remove("pmask");
        return block.set("persistent", &["0"]);
    };
    let before = meant.persistence.as_ref();
    if before.map(|before| before.timeout) != Some(persistence.timeout) {
        block.set("persistent", &[&persistence.timeout.to_string()])?;
    }
    if before.map(|before| before.netmask) == Some(persistence.netmask) {
        return Ok(());
    }
    let family = meant.key().family();
    match persistence.netmask {
        // A file that never named a mask need not begin to.
        mask if mask == Netmask::host(family) && block.body().values("pmask").is_none() => Ok(()),
        Netmask::V4(mask) => block.set("pmask", &[&mask.to_string()]),
        Netmask::V6(length) => block.set("pmask", &[&length.to_string()]),
    }
}

fn policy(block: &mut Block, meant: &VirtualService, service: &Service) -> Result<(), EditError> {
    let (before, now) = (&meant.policy, &service.policy);
    let bits = [
        (
            "expire_nodest_conn",
            before.expire_nodest_conn,
            now.expire_nodest_conn,
        ),
        (
            "expire_quiescent_template",
            before.expire_quiescent_template,
            now.expire_quiescent_template,
        ),
        ("sloppy_tcp", before.sloppy_tcp, now.sloppy_tcp),
        ("sloppy_sctp", before.sloppy_sctp, now.sloppy_sctp),
        ("cache_bypass", before.cache_bypass, now.cache_bypass),
        ("pmtu_disc", before.pmtu_disc, now.pmtu_disc),
    ];
    for (key, before, now) in bits {
        if before != now {
            block.set(key, &[bit(now)])?;
        }
    }
    if before.conn_reuse_mode != now.conn_reuse_mode {
        block.set(
            "conn_reuse_mode",
            &[&now.conn_reuse_mode.bits().to_string()],
        )?;
    }
    // While it is automatic, the table holds what is in effect.
    if before.secure_tcp != now.secure_tcp && meant.secure_tcp != Defence::Automatic {
        block.set("secure_tcp", &[if now.secure_tcp { "3" } else { "0" }])?;
    }
    if before.mss_clamp != now.mss_clamp {
        let clamp = match now.mss_clamp {
            MssClamp::Off => "0".to_owned(),
            MssClamp::Auto => "auto".to_owned(),
            MssClamp::Bytes(bytes) => bytes.to_string(),
        };
        block.set("mss_clamp", &[&clamp])?;
    }
    Ok(())
}

fn bit(value: bool) -> &'static str {
    match value {
        true => "1",
        false => "0",
    }
}
