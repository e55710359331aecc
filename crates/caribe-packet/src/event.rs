//! What happens to packets beside their one verdict, counted apart from it.

/// Something worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Event {
    /// In a flood, forwarded by a hash without making a connection.
    ForwardedStateless = 0,
    /// In a flood, the slot of a connection that had got no further than its SYN was taken for
    /// another.
    DisplacedEmbryonic = 1,
    /// A template was made for a client.
    TemplateMade = 2,
    /// A connection whose server is gone was ended early.
    ExpiredServerGone = 3,
    /// An old connection on the same ports was ended for a new one.
    Reopened = 4,
    /// Packets that came while there was a flood and would start a connection.
    Flood = 5,
}

impl Event {
    /// Every event, in the order of its counters.
    pub const ALL: &'static [Event] = &[
        Event::ForwardedStateless,
        Event::DisplacedEmbryonic,
        Event::TemplateMade,
        Event::ExpiredServerGone,
        Event::Reopened,
        Event::Flood,
    ];

    /// The name in status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Event::ForwardedStateless => "forwarded_stateless",
            Event::DisplacedEmbryonic => "displaced_embryonic",
            Event::TemplateMade => "template_made",
            Event::ExpiredServerGone => "expired_server_gone",
            Event::Reopened => "reopened",
            Event::Flood => "flood",
        }
    }
}

/// Room for counters, with some to spare.
pub const EVENTS: usize = 16;

const _: () = assert!(Event::ALL.len() <= EVENTS);
