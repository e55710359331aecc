//! What IPVS has as sysctls for all services, as settings of each.

use serde::{Deserialize, Serialize};

/// How a service treats connections at the edges of their lives. The default is that of IPVS's
/// sysctls of the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// A packet of a connection whose server was removed ends the connection and may start
    /// another, instead of being dropped until the connection times out.
    pub expire_nodest_conn: bool,
    /// A template whose server is quiesced is given up, instead of drawing clients to it.
    pub expire_quiescent_template: bool,
    /// What a SYN on the ports of an old connection does.
    pub conn_reuse_mode: ReuseMode,
    /// Any TCP packet but a RST may start a connection, not a SYN alone.
    pub sloppy_tcp: bool,
    /// Any SCTP packet but an ABORT may start an association, not an INIT alone.
    pub sloppy_sctp: bool,
    /// A TCP connection is established only once the server's own packets say so, where they are
    /// seen (IPVS: `secure_tcp` in effect).
    pub secure_tcp: bool,
    /// For a firewall mark: packets that no server can take go where they were going.
    pub cache_bypass: bool,
    /// A packet that is too big for a tunnel is answered with an ICMP error, not fragmented on
    /// its way.
    pub pmtu_disc: bool,
    /// The segment size that TCP's handshake may agree on.
    pub mss_clamp: MssClamp,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            expire_nodest_conn: false,
            expire_quiescent_template: false,
            conn_reuse_mode: ReuseMode::default(),
            sloppy_tcp: false,
            sloppy_sctp: false,
            secure_tcp: false,
            cache_bypass: false,
            pmtu_disc: true,
            mss_clamp: MssClamp::Off,
        }
    }
}

/// `conn_reuse_mode`: two bits, as IPVS numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReuseMode(u8);

impl ReuseMode {
    /// From IPVS's number, 0 to 3.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits < 4 {
            Some(ReuseMode(bits))
        } else {
            None
        }
    }

    /// IPVS's number.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl Default for ReuseMode {
    /// 1: a SYN reopens a connection in TIME_WAIT or CLOSE.
    fn default() -> Self {
        ReuseMode(1)
    }
}

/// What becomes of the maximum segment size in SYNs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MssClamp {
    /// It stays.
    #[default]
    Off,
    /// It is lowered to what fits the way to the server, tunnel included.
    Auto,
    /// It is lowered to this many bytes.
    Bytes(u16),
}
