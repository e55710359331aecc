//! How a service treats connections at the edges of their lives: what the packet path looks up on
//! rare events only, so that the value of a service stays small.

/// The policy of a service, at its id in an array. At id 0, which no service has, is that of
/// connections whose service is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Policy {
    /// The bits below.
    pub flags: u32,
    /// Seconds that a template outlives the start of the last connection; 0 without persistence.
    pub timeout: u32,
    /// The bits of a client's address that count for its template; IPv4 in the first four bytes.
    pub mask: [u8; 16],
    /// The largest segment size that a handshake may agree on; 0 for any.
    pub mss: u16,
    /// Zero.
    pub padding: [u8; 6],
}

const _: () = assert!(size_of::<Policy>() == 32);

/// Connections of one client go to one server.
pub const PERSISTENT: u32 = 1;
/// Every datagram is scheduled by itself.
pub const ONE_PACKET: u32 = 1 << 1;
/// A packet of a connection whose server is gone may start another (`expire_nodest_conn`).
pub const EXPIRE_NODEST_CONN: u32 = 1 << 2;
/// A template whose server is quiesced is given up (`expire_quiescent_template`).
pub const EXPIRE_QUIESCENT_TEMPLATE: u32 = 1 << 3;
/// Bit 1 of `conn_reuse_mode`; bit 2 is the next one.
pub const REUSE: u32 = 1 << 4;
/// Bit 2 of `conn_reuse_mode`: a SYN reopens what is in FIN_WAIT and seen from one side only.
pub const REUSE_FIN_WAIT: u32 = 1 << 5;
/// Any TCP packet without RST may start a connection (`sloppy_tcp`).
pub const SLOPPY_TCP: u32 = 1 << 6;
/// Any SCTP packet without ABORT may start an association (`sloppy_sctp`).
pub const SLOPPY_SCTP: u32 = 1 << 7;
/// Connections follow the tables of `secure_tcp`.
pub const SECURE_TCP: u32 = 1 << 8;
/// Packets that no server can take go where they were going (`cache_bypass`).
pub const CACHE_BYPASS: u32 = 1 << 9;
/// What is too big for a tunnel is fragmented on its way (`pmtu_disc` is 0).
pub const NO_PMTU_DISCOVERY: u32 = 1 << 10;
/// The segment size in SYNs is lowered to what fits the way to the server.
pub const MSS_AUTO: u32 = 1 << 11;

impl Policy {
    /// True when a bit is set.
    #[inline(always)]
    pub const fn has(&self, bit: u32) -> bool {
        self.flags & bit != 0
    }

    /// Where the two bits of `conn_reuse_mode` begin.
    pub const REUSE_SHIFT: u32 = REUSE.trailing_zeros();
}

/// An address with only those bits that a mask leaves.
#[inline(always)]
pub const fn masked4(address: [u8; 4], mask: &[u8; 16]) -> [u8; 4] {
    let mask = u32::from_le_bytes([mask[0], mask[1], mask[2], mask[3]]);
    (u32::from_le_bytes(address) & mask).to_le_bytes()
}

/// As [`masked4`], for IPv6.
#[inline(always)]
pub const fn masked6(address: [u8; 16], mask: &[u8; 16]) -> [u8; 16] {
    let (address, mask) = (crate::ipv6::words(address), crate::ipv6::words(*mask));
    crate::ipv6::address([address[0] & mask[0], address[1] & mask[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_any_bits() {
        let mut mask = [0; 16];
        mask[..4].copy_from_slice(&[255, 0, 255, 128]);
        assert_eq!(masked4([203, 0, 113, 200], &mask), [203, 0, 113, 128]);
        assert_eq!(masked4([203, 7, 113, 100], &mask), [203, 0, 113, 0]);
        let mut mask = [0; 16];
        mask[..5].copy_from_slice(&[255, 255, 255, 255, 0xf0]);
        let address = core::array::from_fn(|at| at as u8 | 0x10);
        let mut kept = [0; 16];
        kept[..5].copy_from_slice(&[0x10, 0x11, 0x12, 0x13, 0x10]);
        assert_eq!(masked6(address, &mask), kept);
    }
}
