//! What one chapter leaves for the next: a packet whose way goes on in another program.
//!
//! It lies in a map with an element for each processor. A tail call does not leave the processor,
//! and XDP does not nest on it, so what is written before the call is what is read after it.

use caribe_packet::service::Service;
use caribe_packet::table::Place;

use crate::find::Answer;
use crate::packet::Packet;

/// A packet that belongs to no connection and is for a service.
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
