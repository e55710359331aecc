//! What the file says about the second director.

use std::net::IpAddr;

use caribe_model::Protocol;

use crate::config::Redundancy;
use crate::settings::Section;

use super::{Interpreter, seconds};

impl Interpreter<'_, '_> {
    pub(super) fn redundancy(&mut self, settings: &Section<'_>) -> Redundancy {
        let address = |key| specified(settings.address(key));
        let port = settings
            .port("heartbeat_port")
            .and_then(|port| self.port(settings, "heartbeat_port", port, Protocol::Udp));
        Redundancy {
            primary: address("primary"),
            primary_private: address("primary_private"),
            backup: address("backup"),
            backup_private: address("backup_private"),
            backup_active: settings.boolean("backup_active"),
            // Without a port the report has an error, and nobody will see this one.
            heartbeat_port: port.unwrap_or_default(),
            keepalive: seconds(settings, "keepalive"),
            deadtime: seconds(settings, "deadtime"),
            monitor_links: settings.boolean("monitor_links"),
            sync: settings.boolean("syncdaemon"),
            sync_interface: settings.text("syncd_iface").unwrap_or_default(), // it has a default
            sync_id: u8::try_from(settings.integer("syncd_id")).unwrap_or_default(), // its range fits
            active_command: settings.text("active_cmd"),
            inactive_command: settings.text("inactive_cmd"),
        }
    }
}

fn specified(address: Option<IpAddr>) -> Option<IpAddr> {
    address.filter(|address| !address.is_unspecified())
}
