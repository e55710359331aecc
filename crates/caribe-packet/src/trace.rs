//! What the packet path did with a packet, for whoever asks why.
//!
//! The programs fill this only where the director loaded them to explain; those on interfaces know
//! nothing of it.

use crate::locality::MOST_MEMBERS;

/// What was met on the way of one packet: bits of `met` say which of the rest means something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Trace {
    /// Picks that the rotation had made before.
    pub picks: u64,
    /// The bits below.
    pub met: u32,
    /// Number of the [`Verdict`](crate::verdict::Verdict).
    pub verdict: u32,
    /// Slot of the connection that the packet belongs to, or belonged to.
    pub connection: u32,
    /// Slot of the template.
    pub template: u32,
    /// Index of the server that gets the packet; 0 for none.
    pub server: u32,
    /// Id of the service.
    pub service: u32,
    /// Its slots: the first, and how many.
    pub base: u32,
    /// As above.
    pub length: u32,
    /// Where its rotation starts over.
    pub cycle_start: u32,
    /// A number of [`Choice`](crate::service::Choice); above its eight bits the director's number
    /// of the scheduler.
    pub choice: u32,
    /// The firewall mark by which the service was found; 0 for none.
    pub mark: u32,
    /// The service's port, which need not be the packet's.
    pub port: u32,
    /// The port on the server.
    pub server_port: u32,
    /// What a hash was made of.
    pub origin: u32,
    /// The slot that was asked first, counted from the first of the service: of a hash, or of a
    /// rotation.
    pub first: u32,
    /// Further slots that were tried.
    pub tried: u32,
    /// The two servers that were drawn.
    pub drawn: [u32; 2],
    /// Servers that were remembered for the destination.
    pub members: [u32; MOST_MEMBERS],
}

const _: () = assert!(size_of::<Trace>() == 8 + 18 * 4 + MOST_MEMBERS * 4);

/// It is a NAT server's reply.
pub const REPLY: u32 = 1;
/// There is a connection.
pub const CONNECTION: u32 = 1 << 1;
/// The packet ends it: the client uses its ports anew.
pub const REOPENED: u32 = 1 << 2;
/// The packet ends it: its server is gone.
pub const SERVER_GONE: u32 = 1 << 3;
/// Its time is over, and it is not swept yet.
pub const EXPIRED: u32 = 1 << 4;
/// There is a service.
pub const SERVICE: u32 = 1 << 5;
/// A template names the server.
pub const TEMPLATE: u32 = 1 << 6;
/// The scheduler was asked.
pub const SCHEDULED: u32 = 1 << 7;
/// Servers are remembered for the destination.
pub const REMEMBERED: u32 = 1 << 8;
/// Who is remembered is of no use: crowded, quiesced, overloaded or gone.
pub const GIVEN_UP: u32 = 1 << 9;
/// A connection is made.
pub const OPENED: u32 = 1 << 10;
/// A template is made.
pub const TEMPLATE_MADE: u32 = 1 << 11;
/// No connection is made: the packet is forwarded by itself.
pub const STATELESS: u32 = 1 << 12;
