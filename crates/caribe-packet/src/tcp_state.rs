//! The connection states of IPVS and how packets move a TCP connection between them.
//!
//! A director sees a TCP connection from outside, and with direct routing or tunnelling only
//! half of it; so IPVS keeps its own, simplified state machine with a table for each viewpoint.
//! Rules and timeouts are those of IPVS (`ip_vs_proto_tcp`), the public behaviour of which is
//! what `ipvsadm -Lnc` shows.

use crate::transport::{ACK, FIN, RST, SYN};

/// A connection's state; the numbers are those of IPVS's sync protocol, 11 is our own for UDP.
/// SCTP's states are in [`crate::sctp_state`], what they have in common in [`crate::state`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Before the first packet.
    None = 0,
    /// Both ends talk.
    Established = 1,
    /// The server opened the connection.
    SynSent = 2,
    /// The client's SYN was seen.
    SynReceived = 3,
    /// One end has closed.
    FinWait = 4,
    /// Both ends have closed.
    TimeWait = 5,
    /// Reset.
    Close = 6,
    /// The client has closed, the server has not.
    CloseWait = 7,
    /// Waiting for the last ACK.
    LastAck = 8,
    /// Listening; kept for the tables' sake.
    Listen = 9,
    /// SYN answered; only under secure_tcp.
    SynAck = 10,
    /// A UDP flow, which has no states.
    Udp = 11,
}

impl State {
    /// Every state, by number.
    pub const ALL: [State; 12] = [
        State::None,
        State::Established,
        State::SynSent,
        State::SynReceived,
        State::FinWait,
        State::TimeWait,
        State::Close,
        State::CloseWait,
        State::LastAck,
        State::Listen,
        State::SynAck,
        State::Udp,
    ];

    /// The name that `ipvsadm -Lnc` prints.
    pub const fn name(self) -> &'static str {
        match self {
            State::None => "NONE",
            State::Established => "ESTABLISHED",
            State::SynSent => "SYN_SENT",
            State::SynReceived => "SYN_RECV",
            State::FinWait => "FIN_WAIT",
            State::TimeWait => "TIME_WAIT",
            State::Close => "CLOSE",
            State::CloseWait => "CLOSE_WAIT",
            State::LastAck => "LAST_ACK",
            State::Listen => "LISTEN",
            State::SynAck => "SYNACK",
            State::Udp => "UDP",
        }
    }

    /// Idle timeout in seconds; established, FIN and UDP are the ones that `ipvsadm --set` changes.
    pub const fn default_timeout(self) -> u32 {
        match self {
            State::None => 2,
            State::Established => 900,
            State::SynSent => 120,
            State::SynReceived => 60,
            State::FinWait => 120,
            State::TimeWait => 120,
            State::Close => 10,
            State::CloseWait => 60,
            State::LastAck => 30,
            State::Listen => 120,
            State::SynAck => 120,
            State::Udp => 300,
        }
    }
}

/// From where a packet of a connection was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewpoint {
    /// From the client, and the server's replies are seen too (NAT).
    Input,
    /// From the server.
    Output,
    /// From the client, and replies bypass the director (direct routing, tunnelling).
    InputOnly,
}

/// One row of a table: the next state for each current state, four bits each, NONE lowest.
/// Sixty-four bits hold the row, so that the kernel side reads no memory for it.
const fn row(next: [State; 11]) -> u64 {
    let mut packed = 0;
    let mut at = 0;
    while at < next.len() {
        packed |= (next[at] as u64) << (at * 4);
        at += 1;
    }
    packed
}

use State::{
    Close as CL, CloseWait as CW, Established as ES, FinWait as FW, LastAck as LA, Listen as LI,
    SynAck as SA, SynReceived as SR, SynSent as SS, TimeWait as TW,
};

//                                       NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
const INPUT_SYN: u64 = row([SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR]);
const INPUT_FIN: u64 = row([CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW]);
const INPUT_ACK: u64 = row([ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES]);
const INPUT_RST: u64 = row([CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR]);

const OUTPUT_SYN: u64 = row([SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR]);
const OUTPUT_FIN: u64 = row([TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW]);
const OUTPUT_ACK: u64 = row([ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES]);
const OUTPUT_RST: u64 = row([CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL]);

const ONLY_SYN: u64 = row([SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR]);
const ONLY_FIN: u64 = row([CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW]);
const ONLY_ACK: u64 = row([ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES]);
const ONLY_RST: u64 = row([CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL]);

// What `secure_tcp` has instead: a connection is established only once the server acknowledges.
const SECURE_INPUT_SYN: u64 = row([SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SA]);
const SECURE_INPUT_FIN: u64 = row([CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, SA]);
const SECURE_INPUT_ACK: u64 = row([ES, ES, SS, SR, FW, TW, CL, CW, CL, LI, SA]);
const SECURE_INPUT_RST: u64 = row([CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL]);
const SECURE_OUTPUT_SYN: u64 = row([SS, ES, SS, SA, SS, SS, SS, SS, SS, LI, SA]);
const SECURE_ONLY_SYN: u64 = row([SA, ES, ES, SR, SA, SA, SA, SA, SA, SA, SA]);

const _: () = assert!(SA as u64 == 10);

/// The state after a packet with these TCP flags. The first of RST, SYN, FIN, ACK counts; a
/// packet with none of them closes.
#[inline(always)]
pub const fn next(state: u8, viewpoint: Viewpoint, flags: u8) -> u8 {
    let rows = match viewpoint {
        Viewpoint::Input => [INPUT_SYN, INPUT_FIN, INPUT_ACK, INPUT_RST],
        Viewpoint::Output => [OUTPUT_SYN, OUTPUT_FIN, OUTPUT_ACK, OUTPUT_RST],
        Viewpoint::InputOnly => [ONLY_SYN, ONLY_FIN, ONLY_ACK, ONLY_RST],
    };
    pick(rows, state, flags)
}

/// As [`next`], by the tables of `secure_tcp`.
#[inline(always)]
pub const fn next_secure(state: u8, viewpoint: Viewpoint, flags: u8) -> u8 {
    let rows = match viewpoint {
        Viewpoint::Input => [
            SECURE_INPUT_SYN,
            SECURE_INPUT_FIN,
            SECURE_INPUT_ACK,
            SECURE_INPUT_RST,
        ],
        Viewpoint::Output => [SECURE_OUTPUT_SYN, OUTPUT_FIN, OUTPUT_ACK, OUTPUT_RST],
        Viewpoint::InputOnly => [SECURE_ONLY_SYN, ONLY_FIN, ONLY_ACK, ONLY_RST],
    };
    pick(rows, state, flags)
}

#[inline(always)]
const fn pick([syn, fin, ack, rst]: [u64; 4], state: u8, flags: u8) -> u8 {
    let row = if flags & RST != 0 {
        rst
    } else if flags & SYN != 0 {
        syn
    } else if flags & FIN != 0 {
        fin
    } else if flags & ACK != 0 {
        ack
    } else {
        return CL as u8;
    };
    (row >> ((state as u64 & 15) * 4)) as u8 & 15
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::state::is_active;

    fn walk(steps: &[(Viewpoint, u8)]) -> State {
        let last = steps.iter().fold(0, |state, (viewpoint, flags)| {
            next(state, *viewpoint, *flags)
        });
        State::ALL[usize::from(last)]
    }

    #[test]
    fn nat_connection_from_start_to_end() {
        use Viewpoint::{Input, Output};
        let syn = [(Input, SYN)];
        let open = [syn[0], (Output, SYN | ACK), (Input, ACK)];
        assert_eq!(walk(&syn), State::SynReceived);
        assert_eq!(walk(&open[..2]), State::SynReceived);
        assert_eq!(walk(&open), State::Established);
        let client_closes = [open[0], open[1], open[2], (Input, FIN | ACK)];
        assert_eq!(walk(&client_closes), State::CloseWait);
        let both_close = [
            open[0],
            open[1],
            open[2],
            (Input, FIN | ACK),
            (Output, FIN | ACK),
        ];
        assert_eq!(walk(&both_close), State::TimeWait);
    }

    #[test]
    fn direct_routing_sees_one_half() {
        use Viewpoint::InputOnly;
        assert_eq!(
            walk(&[(InputOnly, SYN), (InputOnly, ACK)]),
            State::Established
        );
        assert_eq!(
            walk(&[(InputOnly, SYN), (InputOnly, ACK), (InputOnly, FIN | ACK)]),
            State::FinWait
        );
    }

    #[test]
    fn case_125_secure_tcp_waits_for_the_server() {
        use Viewpoint::{Input, Output};
        let mut state = 0;
        let mut seen = [0; 4];
        let steps = [
            (Input, SYN),
            (Output, SYN | ACK),
            (Input, ACK),
            (Output, ACK),
        ];
        for (seen, (viewpoint, flags)) in seen.iter_mut().zip(steps) {
            state = next_secure(state, viewpoint, flags);
            *seen = state;
        }
        assert_eq!(seen, [SR as u8, SA as u8, SA as u8, ES as u8]);
    }

    /// The cells in which the tables of `secure_tcp` differ, by viewpoint and flag.
    #[test]
    fn secure_tcp_differs_where_ipvs_does() {
        use Viewpoint::{Input, InputOnly, Output};
        let mut differences = std::vec::Vec::new();
        for viewpoint in [Input, Output, InputOnly] {
            for flags in [SYN, FIN, ACK, RST] {
                for state in 0..=SA as u8 {
                    let secure = next_secure(state, viewpoint, flags);
                    if secure != next(state, viewpoint, flags) {
                        differences.push((viewpoint, flags, state, secure));
                    }
                }
            }
        }
        let mut expected = std::vec![
            (Input, SYN, SA as u8, SA as u8),
            (Input, FIN, SA as u8, SA as u8),
            (Input, ACK, SR as u8, SR as u8),
            (Input, ACK, SA as u8, SA as u8),
            (Input, RST, SA as u8, CL as u8),
            (Output, SYN, SR as u8, SA as u8),
            (Output, SYN, SA as u8, SA as u8),
        ];
        for state in [State::None, FW, TW, CL, CW, LA, LI, SA] {
            expected.push((InputOnly, SYN, state as u8, SA as u8));
        }
        assert_eq!(differences, expected);
    }

    #[test]
    fn reset_wins_over_everything_and_no_flag_closes() {
        for flags in [RST, RST | SYN, RST | ACK, RST | FIN | ACK] {
            assert_eq!(
                next(State::Established as u8, Viewpoint::Input, flags),
                CL as u8
            );
        }
        assert_eq!(
            next(State::Established as u8, Viewpoint::Input, 0),
            CL as u8
        );
    }

    #[test]
    fn every_state_that_a_row_names_exists() {
        for state in 0..=255u8 {
            for viewpoint in [Viewpoint::Input, Viewpoint::Output, Viewpoint::InputOnly] {
                for flags in 0..=255u8 {
                    let next = next(state, viewpoint, flags);
                    assert!(next <= State::SynAck as u8);
                }
            }
        }
    }

    #[test]
    fn four_states_are_active() {
        let active: [bool; 12] = core::array::from_fn(|state| is_active(state as u8));
        assert_eq!(
            active,
            [
                false, true, true, true, false, false, false, false, false, false, true, false
            ]
        );
    }
}
