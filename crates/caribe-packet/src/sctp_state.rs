//! The states of an SCTP association as IPVS sees it, and how packets move it between them.
//!
//! As with TCP, a director sees an association from outside, and mostly one direction of it. What
//! counts of a packet is the kind of its first chunk, for chunks that decide anything come alone
//! or first (RFC 9260, 6.10). Rules and timeouts are those of IPVS (`ip_vs_proto_sctp`).

use crate::tcp_state::Viewpoint;

/// An association's state. IPVS's number of it is 16 less: both protocols' states lie in one field,
/// and must be told from each other without the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Before the first packet.
    None = FIRST,
    /// The client's INIT was seen.
    Init1 = FIRST + 1,
    /// It was seen again.
    Init = FIRST + 2,
    /// The server sent a cookie.
    CookieSent = FIRST + 3,
    /// The client sent it back.
    CookieReplied = FIRST + 4,
    /// The server opened the association.
    CookieWait = FIRST + 5,
    /// The client answered that with a cookie.
    Cookie = FIRST + 6,
    /// The server sent it back.
    CookieEchoed = FIRST + 7,
    /// Both ends talk.
    Established = FIRST + 8,
    /// The server has said that it closes.
    ShutdownSent = FIRST + 9,
    /// The client has said so.
    ShutdownReceived = FIRST + 10,
    /// The server has acknowledged it.
    ShutdownAckSent = FIRST + 11,
    /// The association was refused.
    Rejected = FIRST + 12,
    /// Both ends have closed.
    Closed = FIRST + 13,
}

/// The number of the first state.
pub const FIRST: u8 = 16;

impl State {
    /// Every state, by number.
    pub const ALL: [State; 14] = [
        State::None,
        State::Init1,
        State::Init,
        State::CookieSent,
        State::CookieReplied,
        State::CookieWait,
        State::Cookie,
        State::CookieEchoed,
        State::Established,
        State::ShutdownSent,
        State::ShutdownReceived,
        State::ShutdownAckSent,
        State::Rejected,
        State::Closed,
    ];

    /// The name that `ipvsadm -Lnc` prints.
    pub const fn name(self) -> &'static str {
        match self {
            State::None => "NONE",
            State::Init1 => "INIT1",
            State::Init => "INIT",
            State::CookieSent => "C-SENT",
            State::CookieReplied => "C-REPLIED",
            State::CookieWait => "C-WAIT",
            State::Cookie => "COOKIE",
            State::CookieEchoed => "C-ECHOED",
            State::Established => "ESTABLISHED",
            State::ShutdownSent => "S-SENT",
            State::ShutdownReceived => "S-RECEIVED",
            State::ShutdownAckSent => "S-ACK-SENT",
            State::Rejected => "REJECTED",
            State::Closed => "CLOSED",
        }
    }

    /// Idle timeout in seconds; `ipvsadm --set` changes none of them.
    pub const fn timeout(self) -> u32 {
        match self {
            State::None => 2,
            State::Init1 | State::Rejected => 4,
            State::Established => 900,
            _ => 61,
        }
    }
}

/// What a packet does to an association, by its chunks: the number of a table's row, but for the
/// last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// Data, acknowledgements, heartbeats and whatever else is no step of a handshake.
    Data = 0,
    /// INIT: the only one that starts an association.
    Init = 1,
    /// INIT ACK.
    InitAck = 2,
    /// COOKIE ECHO.
    CookieEcho = 3,
    /// COOKIE ACK.
    CookieAck = 4,
    /// SHUTDOWN.
    Shutdown = 5,
    /// SHUTDOWN ACK.
    ShutdownAck = 6,
    /// SHUTDOWN COMPLETE.
    ShutdownComplete = 7,
    /// ERROR.
    Error = 8,
    /// ABORT.
    Abort = 9,
    /// ABORT behind a COOKIE ECHO or COOKIE ACK: the association is over, but the packet is not
    /// taken for one of an association that was over already.
    AbortBehind = 10,
}

/// The kind of an ABORT chunk.
const ABORT: u8 = 6;

impl Event {
    /// That of a first chunk of a kind.
    #[inline(always)]
    pub const fn of_chunk(kind: u8) -> Event {
        match kind {
            1 => Event::Init,
            2 => Event::InitAck,
            ABORT => Event::Abort,
            7 => Event::Shutdown,
            8 => Event::ShutdownAck,
            9 => Event::Error,
            10 => Event::CookieEcho,
            11 => Event::CookieAck,
            14 => Event::ShutdownComplete,
            _ => Event::Data,
        }
    }

    /// True when the chunk behind the first one matters.
    #[inline(always)]
    pub const fn looks_behind(self) -> bool {
        matches!(self, Event::CookieEcho | Event::CookieAck)
    }

    /// The same with a chunk of a kind behind it.
    #[inline(always)]
    pub const fn before(self, kind: u8) -> Event {
        if kind == ABORT {
            Event::AbortBehind
        } else {
            self
        }
    }

    /// True when a packet with this number of an event may start an association. `sloppy` lets any
    /// do so but an ABORT.
    #[inline(always)]
    pub const fn may_start(event: u8, sloppy: bool) -> bool {
        event == Event::Init as u8 || sloppy && event != Event::Abort as u8
    }
}

/// One row of a table: IPVS's number of the next state for each current state, four bits each,
/// NONE lowest.
const fn row(next: [State; 14]) -> u64 {
    let mut packed = 0;
    let mut at = 0;
    while at < next.len() {
        packed |= ((next[at] as u8 - FIRST) as u64) << (at * 4);
        at += 1;
    }
    packed
}

use State::{
    Closed as CL, Cookie as CO, CookieEchoed as CE, CookieReplied as CR, CookieSent as CS,
    CookieWait as CW, Established as ES, Init as IN, Init1 as I1, Rejected as RJ,
    ShutdownAckSent as SA, ShutdownReceived as SR, ShutdownSent as SS,
};

/// By viewpoint, then by event.
#[rustfmt::skip]
static TABLES: [[u64; 10]; 3] = [
    [
        //   NO  I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL
        row([ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([I1, IN, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, IN, IN]),
        row([CW, CW, CW, CS, CR, CO, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CR, IN, IN, CR, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([ES, I1, IN, CS, CR, CW, CO, ES, ES, SS, SR, SA, RJ, CL]),
        row([SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL]),
        row([CL, IN, IN, CS, CR, CW, CO, CE, ES, CL, SR, CL, RJ, CL]),
        row([CL, CL, CL, CS, CR, CW, CO, CE, ES, SS, SR, CL, RJ, CL]),
        row([CL, I1, IN, CS, CR, CW, CO, CL, ES, SS, SR, SA, RJ, CL]),
        row([CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL]),
    ],
    [
        row([ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CW, CW, CW, CW, CW, CW, CW, CW, ES, CW, CW, CW, CW, CW]),
        row([CS, CS, CS, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CE, CE, CE, CE, CE, CE, CE, CE, ES, SS, SR, SA, RJ, CL]),
        row([ES, ES, ES, ES, ES, ES, ES, ES, ES, SS, SR, SA, RJ, CL]),
        row([SS, SS, SS, SS, SS, SS, SS, SS, SS, SS, SR, SA, RJ, CL]),
        row([SA, SA, SA, SA, SA, CW, CO, CE, ES, SA, SA, SA, RJ, CL]),
        row([CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL]),
    ],
    [
        row([ES, I1, IN, CS, CR, ES, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([I1, IN, IN, IN, IN, IN, CO, CE, ES, SS, SR, SA, IN, IN]),
        row([CE, CE, CE, CE, CE, CE, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([ES, ES, ES, ES, ES, ES, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([ES, I1, IN, ES, ES, CW, ES, ES, ES, SS, SR, SA, RJ, CL]),
        row([SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL]),
        row([CL, IN, IN, CS, CR, CW, CO, CE, CL, CL, SR, CL, RJ, CL]),
        row([CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, CL, CL, RJ, CL]),
        row([CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL]),
        row([CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL]),
    ],
];

/// The number of the state after a packet with this number of an [`Event`].
#[inline(always)]
pub fn next(state: u8, viewpoint: Viewpoint, event: u8) -> u8 {
    let rows = match viewpoint {
        Viewpoint::Input => &TABLES[0],
        Viewpoint::Output => &TABLES[1],
        Viewpoint::InputOnly => &TABLES[2],
    };
    let row = rows[if event < Event::Abort as u8 {
        event
    } else {
        Event::Abort as u8
    } as usize];
    FIRST + ((row >> ((state as u64 & 15) * 4)) as u8 & 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(steps: &[(Viewpoint, Event)]) -> &'static str {
        let last = steps
            .iter()
            .fold(State::None as u8, |state, (viewpoint, event)| {
                next(state, *viewpoint, *event as u8)
            });
        State::ALL[usize::from(last - FIRST)].name()
    }

    #[test]
    fn case_135_nat_association_from_start_to_end() {
        use Viewpoint::{Input, Output};
        let steps = [
            (Input, Event::Init, "INIT1"),
            (Output, Event::InitAck, "C-SENT"),
            (Input, Event::CookieEcho, "C-REPLIED"),
            (Output, Event::CookieAck, "ESTABLISHED"),
            (Input, Event::Data, "ESTABLISHED"),
            (Input, Event::Shutdown, "S-RECEIVED"),
            (Output, Event::ShutdownAck, "S-ACK-SENT"),
            (Input, Event::ShutdownComplete, "CLOSED"),
        ];
        for length in 1..=steps.len() {
            let walked: Vec<_> = steps[..length].iter().map(|it| (it.0, it.1)).collect();
            assert_eq!(walk(&walked), steps[length - 1].2, "{walked:?}");
        }
    }

    #[test]
    fn direct_routing_sees_one_half() {
        use Viewpoint::InputOnly;
        let init = (InputOnly, Event::Init);
        assert_eq!(walk(&[init]), "INIT1");
        assert_eq!(walk(&[init, (InputOnly, Event::CookieEcho)]), "ESTABLISHED");
    }

    #[test]
    fn numbers_name_their_states() {
        for (at, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, at + usize::from(FIRST));
            // Whatever the state and the event are, the next one is a state.
            for event in 0..=u8::MAX {
                for viewpoint in [Viewpoint::Input, Viewpoint::Output, Viewpoint::InputOnly] {
                    let next = next(state as u8, viewpoint, event);
                    assert!(usize::from(next - FIRST) < State::ALL.len());
                }
            }
        }
    }

    #[test]
    fn an_abort_behind_a_cookie_is_one_that_may_start() {
        let event = Event::of_chunk(10);
        assert!(event.looks_behind());
        assert_eq!(event.before(0), Event::CookieEcho);
        let aborted = event.before(6);
        assert_eq!(aborted, Event::AbortBehind);
        let of = |event: Event| next(State::Established as u8, Viewpoint::Input, event as u8);
        assert_eq!(of(aborted), of(Event::Abort));
        assert!(Event::may_start(aborted as u8, true));
        assert!(!Event::may_start(Event::Abort as u8, true));
        assert!(!Event::may_start(aborted as u8, false));
        assert!(Event::may_start(Event::Init as u8, false));
    }
}
