//! The chapters of packets that belong to no connection: which server gets them?
//!
//! There are four for each family, which differ in how they [`Choose`].

use aya_ebpf::programs::XdpContext;
use caribe_packet::event::Event;
use caribe_packet::icmp::Problem;
use caribe_packet::policy::{
    CACHE_BYPASS, ONE_PACKET, PERSISTENT, Policy, SLOPPY_SCTP, SLOPPY_TCP,
};
use caribe_packet::sctp_state;
use caribe_packet::server::{MASQUERADE, REACHABLE};
use caribe_packet::service::{Service, is_hash};
use caribe_packet::trace::{EXPIRED, SCHEDULED, SERVICE};
use caribe_packet::transport::{RST, SCTP, SYN, TCP, UDP};
use caribe_packet::verdict::Verdict;

use crate::chapter;
use crate::choose::Choose;
use crate::clock::Moment;
use crate::explain::{explains, note};
use crate::find::Answer;
use crate::flood;
use crate::forward::Forward;
use crate::maps::{POLICIES, SERVERS, SETTINGS};
use crate::packet::Packet;
use crate::pending::{Errand, Manner};
use crate::service::{FTP_DATA, FTP_PORT};
use crate::template;
use crate::transition::look_at_load_of_one_more;
use crate::verdict::{Outcome, count_event, drop, pass};

/// Takes up a packet that [`flow`](crate::flow) left, and schedules it if it may start a
/// connection.
#[inline(always)]
pub fn schedule<F: Forward<WORDS>, C: Choose, const WORDS: usize>(context: &XdpContext) -> Outcome {
    let (Some(pending), Some(settings)) = (F::pending(), SETTINGS.get(0)) else {
        return drop(Verdict::DroppedInconsistent);
    };
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    let pending = unsafe { &mut *pending };
    note(|trace| {
        let Service {
            id,
            base,
            length,
            cycle_start,
            choice,
            scheduler,
            ..
        } = pending.service;
        trace.met |= SERVICE;
        if pending.answer == Answer::Expired {
            trace.met |= EXPIRED;
        }
        trace.server = 0;
        (trace.service, trace.base, trace.length) = (id, base, length);
        trace.cycle_start = cycle_start;
        trace.choice = choice as u32 | (scheduler as u32) << 8;
        trace.mark = pending.mark;
        trace.port = u16::from_be_bytes(pending.port) as u32;
    });
    let moment = &Moment {
        settings,
        now: pending.now,
    };
    let packet = &pending.packet();
    let Some(policy) = POLICIES.get(pending.service.id) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let is_stateless = is_hash(pending.service.choice) && !policy.has(PERSISTENT);
    let in_flood = flood::is_flood(settings, moment.now);
    let is_error = pending.errand != Errand::Packet;
    if !is_error && !may_start(packet, policy, in_flood && is_stateless) {
        return pass(Verdict::PassedNoConnection);
    }
    if in_flood {
        count_event(Event::Flood);
    }
    if flood::is_dropped(settings) {
        return drop(Verdict::DroppedDefence);
    }
    if packet.ports.source == FTP_DATA.to_be_bytes() {
        return pass(Verdict::PassedFtpData);
    }

    let is_persistent = policy.has(PERSISTENT);
    let known = if is_persistent {
        template::find::<F, WORDS>(pending, packet, policy, moment)
    } else {
        template::Known::nothing()
    };
    let takes_other_ports = is_persistent || pending.mark != 0;
    let number = if known.server != 0 {
        known.server
    } else if takes_other_ports || packet.ports.destination == pending.port {
        note(|trace| trace.met |= SCHEDULED);
        C::server::<F, WORDS>(&pending.service, packet, moment)
    } else {
        0
    };
    if number == 0 {
        // FTP's service takes ports that need not be its own.
        if pending.port == FTP_PORT && packet.ports.destination != FTP_PORT {
            return pass(Verdict::PassedNotOurs);
        }
        if pending.mark != 0 && policy.has(CACHE_BYPASS) {
            // It goes where it was going: the kernel knows the way.
            return pass(Verdict::PassedNotOurs);
        }
        if is_error {
            // No error is sent about an error.
            return drop(Verdict::DroppedNoServer);
        }
        return F::answer(context, Problem::NoServer, moment);
    }
    let Some(server) = SERVERS.get(number) else {
        return drop(Verdict::DroppedInconsistent);
    };
    if server.flags & REACHABLE == 0 {
        return drop(Verdict::DroppedUnreachable);
    }

    // Of a service that takes several ports, a server's own port is for the service's own.
    let is_own_port = pending.mark == 0 && packet.ports.destination == pending.port;
    pending.server_port = if server.port != [0, 0] && (is_own_port || !is_persistent) {
        server.port
    } else {
        packet.ports.destination
    };
    if is_persistent {
        pending.control = if known.server != 0 {
            known.control
        } else {
            template::make::<F, WORDS>(context, pending, packet, policy, (number, server), moment)
        };
        if !pending.control.is_some() {
            return drop(Verdict::DroppedTableFull);
        }
    }
    pending.server = number;
    note(|trace| {
        trace.server = number;
        trace.server_port = u16::from_be_bytes(pending.server_port) as u32;
    });
    pending.policy = policy.flags;
    let opens = match packet.protocol {
        TCP => packet.flags & SYN != 0,
        SCTP => packet.flags == sctp_state::Event::Init as u8,
        _ => true,
    };
    pending.manner = if policy.has(ONE_PACKET) && packet.protocol == UDP {
        if !explains() {
            look_at_load_of_one_more(number);
        }
        Manner::Stateless
    } else if !in_flood {
        Manner::Ordinary
    } else if is_stateless && opens && !is_error && server.forwarding != MASQUERADE {
        count_event(Event::ForwardedStateless);
        Manner::Stateless
    } else {
        Manner::Displacing
    };
    chapter::turn_to(context, F::OPENING)
}

/// True when a packet may start a connection. In a flood, what a hash chooses for may go on
/// without the SYN or INIT, for which no connection was made.
#[inline(always)]
fn may_start<A>(packet: &Packet<A>, policy: &Policy, is_stateless: bool) -> bool {
    match packet.protocol {
        TCP => {
            packet.flags & RST == 0
                && (packet.flags & SYN != 0 || is_stateless || policy.has(SLOPPY_TCP))
        }
        SCTP => {
            let sloppy = is_stateless || policy.has(SLOPPY_SCTP);
            sctp_state::Event::may_start(packet.flags, sloppy)
        }
        _ => true,
    }
}
