//! What the states of all protocols have in common: a number each, from which name, timeout and
//! class follow.

use crate::transport::{SCTP, UDP};
use crate::{sctp_state, tcp_state};

/// Room for states, with some to spare.
pub const STATES: usize = 32;

const fn bit(number: u8) -> u32 {
    1 << number
}

/// The states that count as active, as a bit set.
const ACTIVE: u32 = bit(tcp_state::State::Established as u8)
    | bit(tcp_state::State::SynSent as u8)
    | bit(tcp_state::State::SynReceived as u8)
    | bit(tcp_state::State::SynAck as u8)
    | bit(sctp_state::State::Established as u8);

/// Those of a connection that got no further than its client's first packet.
const EMBRYONIC: u32 = bit(tcp_state::State::SynReceived as u8)
    | bit(sctp_state::State::Init1 as u8)
    | bit(sctp_state::State::Init as u8);

/// Those of a connection that is over for both ends.
const OVER: u32 = bit(tcp_state::State::TimeWait as u8)
    | bit(tcp_state::State::Close as u8)
    | bit(sctp_state::State::Closed as u8);

#[inline(always)]
const fn is_in(set: u32, state: u8) -> bool {
    set >> (state as usize % STATES) & 1 == 1
}

/// True when a connection in the state counts as active, the number that wlc weighs most.
#[inline(always)]
pub const fn is_active(state: u8) -> bool {
    is_in(ACTIVE, state)
}

/// True when a connection in the state got no further than its client's first packet.
#[inline(always)]
pub const fn is_embryonic(state: u8) -> bool {
    is_in(EMBRYONIC, state)
}

/// True when a connection in the state is over for both ends, so that another may start.
#[inline(always)]
pub const fn is_over(state: u8) -> bool {
    is_in(OVER, state)
}

/// True when both ends of a connection talk, as far as can be seen.
#[inline(always)]
pub const fn is_established(state: u8) -> bool {
    state == tcp_state::State::Established as u8 || state == sctp_state::State::Established as u8
}

/// The state that a connection of a protocol begins in.
#[inline(always)]
pub const fn first(protocol: u8) -> u8 {
    match protocol {
        UDP => tcp_state::State::Udp as u8,
        SCTP => sctp_state::State::None as u8,
        _ => tcp_state::State::None as u8,
    }
}

/// The name of a state as `ipvsadm -Lnc` prints it, for readers of maps.
pub const fn name(number: u8) -> Option<&'static str> {
    match find(number) {
        Some((name, _)) => Some(name),
        None => None,
    }
}

/// Idle timeout of a state in seconds, unless the user set another.
pub const fn default_timeout(number: u8) -> Option<u32> {
    match find(number) {
        Some((_, timeout)) => Some(timeout),
        None => None,
    }
}

const fn find(number: u8) -> Option<(&'static str, u32)> {
    let (tcp, sctp) = (tcp_state::State::ALL, sctp_state::State::ALL);
    let at = number as usize;
    let from = sctp_state::FIRST as usize;
    if at < tcp.len() {
        Some((tcp[at].name(), tcp[at].default_timeout()))
    } else if at >= from && at - from < sctp.len() {
        Some((sctp[at - from].name(), sctp[at - from].timeout()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_two_protocols_do_not_meet() {
        assert!(tcp_state::State::ALL.len() <= sctp_state::FIRST.into());
        assert!(usize::from(sctp_state::FIRST) + sctp_state::State::ALL.len() <= STATES);
        assert_eq!(name(3), Some("SYN_RECV"));
        assert_eq!(name(11), Some("UDP"));
        assert_eq!(name(12), None);
        assert_eq!(name(24), Some("ESTABLISHED"));
        assert_eq!(default_timeout(17), Some(4));
        assert_eq!(default_timeout(30), None);
    }

    #[test]
    fn of_sctp_only_what_is_established_is_active() {
        for state in sctp_state::State::ALL {
            let is_established = state == sctp_state::State::Established;
            assert_eq!(is_active(state as u8), is_established, "{state:?}");
        }
    }
}
