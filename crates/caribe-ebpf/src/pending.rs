//! What one chapter leaves for the next: a packet whose way goes on in another program.
//!
//! It lies in a map with an element for each processor. A tail call does not leave the processor,
//! and XDP does not nest on it, so what is written before the call is what is read after it.

use caribe_packet::connection::Control;
use caribe_packet::service::Service;
use caribe_packet::table::Place;

use crate::find::Answer;
use crate::packet::Packet;

/// A packet that belongs to no connection and is for a service. What is chosen for it is filled in
/// by the chapter that schedules.
#[repr(C)]
pub struct Pending<A> {
    /// The packet.
    pub packet: Packet<A>,
    /// The service, as it was when the packet was looked at.
    pub service: Service,
    /// Where its connection would lie.
    pub place: Place,
    /// What is there: [`Answer::Nothing`] or [`Answer::Expired`].
    pub answer: Answer,
    /// The slot of an expired connection.
    pub slot: u32,
    /// When the packet was looked at.
    pub now: u32,
    /// The firewall mark by which the service was found; 0 for none.
    pub mark: u32,
    /// The server that was chosen.
    pub server: u32,
    /// Port of the service, network order; not the packet's if it takes more ports than one.
    pub port: [u8; 2],
    /// Port on the server, network order.
    pub server_port: [u8; 2],
    /// The template from which the connection is made.
    pub control: Control,
    /// Bits of `caribe_packet::policy` that concern the connection.
    pub policy: u32,
    /// How the connection is made.
    pub manner: Manner,
    /// Whether it is an ICMP error that is scheduled, in place of the packet that it quotes.
    pub errand: Errand,
}

/// What is scheduled.
#[derive(Clone, Copy, PartialEq)]
#[repr(u32)]
pub enum Errand {
    /// A client's packet.
    Packet = 0,
    /// An ICMP error about a server's packet, which is described as if its client had answered it.
    Error = 1,
    /// That error, whose connection has been made.
    Scheduled = 2,
}

/// How a connection is made.
#[derive(Clone, Copy, PartialEq)]
#[repr(u32)]
pub enum Manner {
    /// In a free slot.
    Ordinary,
    /// In a free slot, or in that of a connection that got no further than its SYN.
    Displacing,
    /// Not at all: the packet is forwarded, and that is it.
    Stateless,
}

/// The farthest that a transport header begins: behind Ethernet and the longest IPv4 header, or a
/// chain of IPv6 extension headers.
const FARTHEST: usize = 255;

impl<A: Copy> Pending<A> {
    /// The packet, with what the verifier has to know of it.
    #[inline(always)]
    pub fn packet(&self) -> Packet<A> {
        Packet {
            transport: self.packet.transport & FARTHEST,
            ..self.packet
        }
    }
}
