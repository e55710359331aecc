//! Notices become lines of the log, with fields.

use nix::net::if_::if_indextoname;

use crate::{Level, Notice};

/// Writes a notice.
pub(super) fn write(notice: &Notice) {
    let fields = Fields::of(notice);
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                target: "caribe::director",
                $level,
                service = fields.service.as_ref().map(display),
                server = fields.server.as_ref().map(display),
                address = fields.address.as_ref().map(display),
                interface = fields.interface.as_ref().map(display),
                mac = fields.mac.as_ref().map(display),
                reason = fields.reason.as_ref().map(display),
                "{notice}"
            )
        };
    }
    match notice.level() {
        Level::Info => line!(tracing::Level::INFO),
        Level::Warning => line!(tracing::Level::WARN),
        Level::Error => line!(tracing::Level::ERROR),
    }
}

/// What a line says beyond its wording; absent fields are not printed.
#[derive(Default)]
struct Fields {
    service: Option<String>,
    server: Option<String>,
    address: Option<String>,
    interface: Option<String>,
    mac: Option<String>,
    reason: Option<String>,
}

impl Fields {
    fn of(notice: &Notice) -> Self {
        let mut fields = Fields::default();
        match notice {
            Notice::ServiceStarted { key, .. }
            | Notice::ServiceStopped { key, .. }
            | Notice::NoServers { key, .. }
            | Notice::SorryServer { key, .. } => fields.service = Some(key.to_string()),
            Notice::ServerUp(id) | Notice::MonitorStarted(id) | Notice::Ordered { id, .. } => {
                fields.service = Some(id.service.to_string());
                fields.server = Some(id.server.to_string());
            }
            Notice::ServerDown(id, finding) => {
                fields.service = Some(id.service.to_string());
                fields.server = Some(id.server.to_string());
                fields.reason = Some(finding.to_string());
            }
            Notice::DrainStarted(service, server, _)
            | Notice::Drained(service, server)
            | Notice::DrainOver {
                service, server, ..
            }
            | Notice::DrainCancelled(service, server) => {
                fields.service = Some(service.to_string());
                fields.server = Some(server.to_string());
            }
            Notice::WayFound(address, hop) => {
                fields.address = Some(address.to_string());
                fields.interface = Some(name_of(hop.interface));
                fields.mac = Some(hop.destination_mac.to_string());
            }
            Notice::WayLost(address) => fields.address = Some(address.to_string()),
            Notice::RepliesUnseen { server, interface } => {
                fields.server = Some(server.to_string());
                fields.interface = Some(name_of(*interface));
            }
            Notice::AddressAdded(floating)
            | Notice::AddressForeign(floating)
            | Notice::AddressRemoved(floating) => {
                fields.address = Some(floating.address.to_string());
                fields.interface = Some(floating.interface.clone());
            }
            Notice::Rereading
            | Notice::Reloaded { .. }
            | Notice::Refused
            | Notice::Diagnostic { .. }
            | Notice::ForwardingOff(_)
            | Notice::AnnouncementsFinished
            | Notice::LimitsNeedRestart
            | Notice::Changed(_)
            | Notice::ChangeTakenBack
            | Notice::OverridesKept(_)
            | Notice::OverridesDropped(_)
            | Notice::Trouble(_)
            | Notice::Stopping { .. } => {}
        }
        fields
    }
}

/// The name of an interface; its number when it has gone meanwhile.
fn name_of(index: u32) -> String {
    match if_indextoname(index) {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => format!("#{index}"),
    }
}
