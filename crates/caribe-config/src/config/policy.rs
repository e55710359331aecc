//! How connections are kept, reused and dropped: IPVS's sysctls, with IPVS's defaults.

use std::num::NonZeroU32;
use std::time::Duration;

/// What holds for the whole director.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectorPolicy {
    /// `drop_entry`: connections that did little are dropped at random.
    pub drop_entry: Defence,
    /// `drop_packet`: packets that would open a connection are dropped.
    pub drop_packet: Defence,
    /// `am_droprate`: with `drop_packet` [`Defence::Always`] one of so many.
    pub drop_rate: NonZeroU32,
    /// `nat_icmp_send`: a packet from a NAT server without a connection is answered.
    pub nat_icmp_send: bool,
    /// `schedule_icmp`: ICMP errors about unknown connections are scheduled.
    pub schedule_icmp: bool,
    /// `lblc_expiration`: at least a second.
    pub lblc_expiration: Duration,
    /// `lblcr_expiration`: at least a second.
    pub lblcr_expiration: Duration,
}

impl Default for DirectorPolicy {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        DirectorPolicy {
            drop_entry: Defence::Never,
            drop_packet: Defence::Never,
            drop_rate: NonZeroU32::MIN.saturating_add(9), // 10
            nat_icmp_send: false,
            schedule_icmp: false,
            lblc_expiration: DAY,
            lblcr_expiration: DAY,
        }
    }
}

/// What each service may have its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServicePolicy {
    /// `expire_nodest_conn`: connections of a removed server end, rather than wait for it.
    pub expire_without_server: bool,
    /// `expire_quiescent_template`: clients leave a server of weight 0.
    pub expire_quiescent_template: bool,
    /// `conn_reuse_mode`.
    pub reuse: ConnectionReuse,
    /// `sloppy_tcp`: any segment but a RST opens a connection.
    pub sloppy_tcp: bool,
    /// `sloppy_sctp`: any chunk but an ABORT opens a connection.
    pub sloppy_sctp: bool,
    /// `secure_tcp`: TCP's shorter timeouts.
    pub secure_tcp: Defence,
    /// `cache_bypass`: without a server, packets of a marked service go where they are addressed.
    pub cache_bypass: bool,
    /// `pmtu_disc`: packets that are too big are answered.
    pub path_mtu_discovery: bool,
}

impl Default for ServicePolicy {
    fn default() -> Self {
        ServicePolicy {
            expire_without_server: false,
            expire_quiescent_template: false,
            reuse: ConnectionReuse::WhenOver,
            sloppy_tcp: false,
            sloppy_sctp: false,
            secure_tcp: Defence::Never,
            cache_bypass: false,
            path_mtu_discovery: true,
        }
    }
}

/// When a defence is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Defence {
    /// 0.
    #[default]
    Never,
    /// 1, and 2, which IPVS itself writes while the defence is on: while the table is nearly full.
    WhenFull,
    /// 3.
    Always,
}

impl Defence {
    /// From IPVS's mode; `None` over 3.
    pub const fn from_mode(mode: u8) -> Option<Self> {
        match mode {
            0 => Some(Defence::Never),
            1 | 2 => Some(Defence::WhenFull),
            3 => Some(Defence::Always),
            _ => None,
        }
    }
}

/// What becomes of an old connection that a SYN from the same client and port meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ConnectionReuse {
    /// 0: the SYN joins it.
    Never,
    /// 1: it is given up if it is over (TIME_WAIT, CLOSE).
    #[default]
    WhenOver,
    /// 2 and 3: also in FIN_WAIT, if its replies do not pass the director.
    WhenClosing,
}

impl ConnectionReuse {
    /// From IPVS's mode; `None` over 3.
    pub const fn from_mode(mode: u8) -> Option<Self> {
        match mode {
            0 => Some(ConnectionReuse::Never),
            1 => Some(ConnectionReuse::WhenOver),
            2 | 3 => Some(ConnectionReuse::WhenClosing),
            _ => None,
        }
    }
}
