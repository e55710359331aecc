//! What became of a packet: every packet gets exactly one verdict, so their sum is the number of
//! packets that came in.

use crate::event::EVENTS;

macro_rules! verdicts {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// What became of a packet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Verdict {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Verdict {
            /// Every verdict, in the order of its counters.
            pub const ALL: &'static [Verdict] = &[$(Verdict::$name,)+];

            /// The name in status and metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Verdict::$name => $text,)+
                }
            }

            /// What it means, in a line.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Verdict::$name => concat!($($doc),+),)+
                }
            }
        }
    };
}

verdicts! {
    /// A client's packet sent to its server by NAT.
    ForwardedNat = "forwarded_nat",
    /// A client's packet sent to its server by direct routing.
    ForwardedDirect = "forwarded_direct",
    /// A client's packet sent to its server through a tunnel.
    ForwardedTunnel = "forwarded_tunnel",
    /// A NAT server's packet sent to its client.
    ForwardedReply = "forwarded_reply",
    /// A client's packet for a server that is the director itself: up the stack, as it came.
    ForwardedLocal = "forwarded_local",
    /// An ICMP error about a server's answer, sent to that server.
    ForwardedError = "forwarded_error",
    /// An ICMP error about a client's packet to a NAT server, sent to that client.
    ForwardedReplyError = "forwarded_reply_error",
    /// An ICMP error about a tunnel's packet, told to the client of what was inside.
    ForwardedTunnelError = "forwarded_tunnel_error",
    /// Not IP: ARP and the like, for the kernel.
    PassedNotIp = "passed_not_ip",
    /// Carries a VLAN tag: attach to the VLAN's own interface to balance it.
    PassedVlan = "passed_vlan",
    /// IP, but broadcast or multicast by its MAC address, which IPVS does not balance either.
    PassedGroup = "passed_group",
    /// ICMP or another protocol that is not balanced, for the kernel.
    PassedProtocol = "passed_protocol",
    /// No virtual service and no connection: for the kernel.
    PassedNotOurs = "passed_not_ours",
    /// To a service, but neither part of a connection nor the start of one: for the kernel.
    PassedNoConnection = "passed_no_connection",
    /// From port 20, which IPVS never schedules (active FTP data): for the kernel.
    PassedFtpData = "passed_ftp_data",
    /// A fragment to an address that is no VIP: for the kernel.
    PassedFragment = "passed_fragment",
    /// Too many IPv6 extension headers, or not whole, to an address that is no VIP: for the kernel.
    PassedExtensionHeader = "passed_extension_header",
    /// A header that is cut short or contradicts itself.
    DroppedMalformed = "dropped_malformed",
    /// A fragment to a VIP whose first one is not known, or told otherwise.
    DroppedFragment = "dropped_fragment",
    /// Too many IPv6 extension headers before the transport header, or not whole, to a VIP.
    DroppedExtensionHeader = "dropped_extension_header",
    /// The service has no server that takes new connections; the client is told by ICMP.
    AnsweredNoServer = "answered_no_server",
    /// From a NAT server but part of no connection (`nat_icmp_send`); the server is told by ICMP.
    AnsweredStray = "answered_stray",
    /// The TTL ran out here; the sender is told by ICMP.
    AnsweredTtl = "answered_ttl",
    /// Too big for the way to the server; the sender is told by ICMP.
    AnsweredTooBig = "answered_too_big",
    /// The service has no server that takes new connections, and ICMP is over its limit.
    DroppedNoServer = "dropped_no_server",
    /// From a NAT server but part of no connection (`nat_icmp_send`), and no ICMP may be sent.
    DroppedStray = "dropped_stray",
    /// The TTL ran out here, and ICMP is over its limit.
    DroppedTtl = "dropped_ttl",
    /// Too big for the way to the server, and no ICMP may be sent.
    DroppedTooBig = "dropped_too_big",
    /// An ICMP error about a tunnel's packet that tells its client nothing, or over the limit.
    DroppedTunnelError = "dropped_tunnel_error",
    /// The server's next hop is not known now.
    DroppedUnreachable = "dropped_unreachable",
    /// The connection's server was removed.
    DroppedServerGone = "dropped_server_gone",
    /// Dropped by the defence `drop_packet`, which drops one in so many of those that would start a
    /// connection.
    DroppedDefence = "dropped_defence",
    /// The connection table has no room for a new connection.
    DroppedTableFull = "dropped_table_full",
    /// The driver left no room in front of the packet for an outer header.
    DroppedNoHeadroom = "dropped_no_headroom",
    /// A program of the packet path is not where it should be; never seen, counted so that it would
    /// be.
    DroppedNoChapter = "dropped_no_chapter",
    /// The maps contradict each other; never seen, counted so that it would be.
    DroppedInconsistent = "dropped_inconsistent",
}

/// Room for counters, with some to spare.
pub const COUNTERS: usize = 64;

const _: () = assert!(Verdict::ALL.len() <= COUNTERS);

/// The counters of one processor, and what else it keeps for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Counters {
    /// Packets by verdict.
    pub verdicts: [u64; COUNTERS],
    /// What happened beside.
    pub events: [u64; EVENTS],
    /// The window of the ICMP limit that is being counted.
    pub icmp_window: u32,
    /// ICMP errors sent in that window.
    pub icmp_sent: u32,
    /// The kernel's tick at which the clock was last read.
    pub clock_jiffies: u64,
    /// What it said, in [`ticks`](crate::settings).
    pub clock_ticks: u32,
    /// The window of the flood guard that is being counted.
    pub flood_window: u32,
    /// Packets in that window that would start a connection.
    pub flood_packets: u32,
    /// Packets that would start a connection since one was dropped.
    pub drop_packets: u32,
    /// The last window in which there was a flood, plus one; 0 if there never was.
    pub flood_last: u32,
    /// Zero.
    pub padding: u32,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            verdicts: [0; COUNTERS],
            events: [0; EVENTS],
            icmp_window: 0,
            icmp_sent: 0,
            clock_jiffies: 0,
            clock_ticks: 0,
            flood_window: 0,
            flood_packets: 0,
            drop_packets: 0,
            flood_last: 0,
            padding: 0,
        }
    }
}
