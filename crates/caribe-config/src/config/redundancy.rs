//! The second director.

use std::net::IpAddr;
use std::time::Duration;

/// Everything about the second director. Nothing acts on it yet; it is kept as written.
#[derive(Debug, Clone, PartialEq)]
pub struct Redundancy {
    /// `primary`: own address of the primary director.
    pub primary: Option<IpAddr>,
    /// `primary_private`: its second heartbeat address.
    pub primary_private: Option<IpAddr>,
    /// `backup`: own address of the backup director; `None` when absent or 0.0.0.0.
    pub backup: Option<IpAddr>,
    /// `backup_private`: its second heartbeat address.
    pub backup_private: Option<IpAddr>,
    /// `backup_active`: there is a backup director.
    pub backup_active: bool,
    /// `heartbeat_port`.
    pub heartbeat_port: u16,
    /// `keepalive`: interval between heartbeats.
    pub keepalive: Duration,
    /// `deadtime`: silence after which the peer is dead.
    pub deadtime: Duration,
    /// `monitor_links`: give up activity when an own link loses carrier.
    pub monitor_links: bool,
    /// `syncdaemon`: replicate connections.
    pub sync: bool,
    /// `syncd_iface`.
    pub sync_interface: String,
    /// `syncd_id`, 0 to 255.
    pub sync_id: u8,
    /// `active_cmd`.
    pub active_command: Option<String>,
    /// `inactive_cmd`.
    pub inactive_command: Option<String>,
}

impl Default for Redundancy {
    /// What Piranha takes when the file says nothing: one director.
    fn default() -> Self {
        Redundancy {
            primary: None,
            primary_private: None,
            backup: None,
            backup_private: None,
            backup_active: false,
            heartbeat_port: 539,
            keepalive: Duration::from_secs(2),
            deadtime: Duration::from_secs(5),
            monitor_links: false,
            sync: false,
            sync_interface: "eth0".to_owned(),
            sync_id: 0,
            active_command: None,
            inactive_command: None,
        }
    }
}
