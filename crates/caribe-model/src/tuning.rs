//! What IPVS has as sysctls for the whole of the data plane.

use serde::{Deserialize, Serialize};

/// Settings that concern every service alike. The default is IPVS's, and no flood guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tuning {
    /// `drop_entry`: in defence, connections that never got far are dropped early.
    pub drop_entry: Defence,
    /// `drop_packet`: in defence, one of [`Tuning::drop_rate`] packets that would start a
    /// connection is dropped.
    pub drop_packet: Defence,
    /// `am_droprate`: one packet in so many, at least 1.
    pub drop_rate: u32,
    /// New connections per second and processor above which the data plane is under a flood;
    /// 0 means never.
    pub flood_guard: u32,
    /// `nat_icmp_send`: a NAT server's packet of no connection is answered with an ICMP error.
    pub nat_icmp_send: bool,
    /// `schedule_icmp`: an ICMP error about no connection is scheduled like the packet that it
    /// quotes.
    pub schedule_icmp: bool,
    /// `lblc_expiration`: seconds after which lblc forgets an address without traffic.
    pub lblc_expiration: u32,
    /// `lblcr_expiration`: the same for lblcr, and the time after which a set of servers that
    /// did not change loses one.
    pub lblcr_expiration: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            drop_entry: Defence::Off,
            drop_packet: Defence::Off,
            drop_rate: 10,
            flood_guard: 0,
            nat_icmp_send: false,
            schedule_icmp: false,
            lblc_expiration: 86_400,
            lblcr_expiration: 86_400,
        }
    }
}

/// When a defence is in effect. IPVS's automatic modes (1, 2) go by free memory; here memory is
/// reserved at the start, so they go by how full the connection table is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Defence {
    /// Never (0).
    #[default]
    Off,
    /// While the connection table is nearly full (1, 2).
    Automatic,
    /// Always (3).
    On,
}
