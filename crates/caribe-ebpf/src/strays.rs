//! The chapters of packets that belong to no connection and are for no service.
//!
//! With `nat_icmp_send` a NAT server that goes on with a connection which the director knows no
//! more is told so by ICMP, and need not wait for its own timeout. All else is the kernel's.

use aya_ebpf::programs::XdpContext;
use caribe_packet::icmp::Problem;
use caribe_packet::sctp_state;
use caribe_packet::server::NatEnd;
use caribe_packet::transport::{RST, SCTP, TCP};
use caribe_packet::verdict::Verdict;

use crate::clock::Moment;
use crate::family::Family;
use crate::forward::Forward;
use crate::maps::{NAT_ENDS, SETTINGS};
use crate::packet::Packet;
use crate::verdict::{Outcome, drop, pass};

/// Takes up a packet that [`flow`](crate::flow) found nothing for.
#[inline(always)]
pub fn strays<F: Forward<WORDS>, const WORDS: usize>(context: &XdpContext) -> Outcome {
    let (Some(pending), Some(settings)) = (F::pending(), SETTINGS.get(0)) else {
        return drop(Verdict::DroppedInconsistent);
    };
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    let (packet, now) = unsafe { ((*pending).packet(), (*pending).now) };
    // What ends a connection needs no answer.
    let is_end = packet.protocol == TCP && packet.flags & RST != 0
        || packet.protocol == SCTP && packet.flags == sctp_state::Event::Abort as u8;
    if is_end || !is_from_nat_server::<F, WORDS>(&packet) {
        return pass(Verdict::PassedNotOurs);
    }
    F::answer(context, Problem::Stray, &Moment { settings, now })
}

/// True when a packet comes from where a NAT server answers.
#[inline(always)]
fn is_from_nat_server<F: Family<WORDS>, const WORDS: usize>(packet: &Packet<F::Address>) -> bool {
    let mut end = NatEnd {
        address: F::wide(packet.source),
        port: packet.ports.source,
        protocol: packet.protocol,
        version: F::VERSION,
    };
    // SAFETY: the value is not read.
    if unsafe { NAT_ENDS.get(&end) }.is_some() {
        return true;
    }
    end.protocol = 0;
    // SAFETY: the value is not read.
    unsafe { NAT_ENDS.get(&end) }.is_some()
}
