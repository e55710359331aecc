//! Chapters: the programs among which the packet path is divided.
//!
//! The kernel's verifier follows every path through a program and gives up after a million steps,
//! so the rarer parts of the way are programs of their own, entered by a tail call: their cost to
//! the verifier is theirs alone.

/// A program that is entered by a tail call, at its number in the map `CHAPTERS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Chapter {
    /// An IPv4 packet that belongs to no connection, for a service that compares its servers.
    Comparing4 = 0,
    /// An IPv6 packet that belongs to no connection, for a service that compares its servers.
    Comparing6 = 1,
    /// An IPv4 packet whose server is chosen: its connection is made.
    Opening4 = 2,
    /// An IPv6 packet whose server is chosen: its connection is made.
    Opening6 = 3,
    /// As [`Comparing4`](Self::Comparing4), for a service that goes by a hash.
    Hashing4 = 4,
    /// As [`Comparing6`](Self::Comparing6), for a service that goes by a hash.
    Hashing6 = 5,
    /// As [`Comparing4`](Self::Comparing4), for a service that rotates or draws.
    Drawing4 = 6,
    /// As [`Comparing6`](Self::Comparing6), for a service that rotates or draws.
    Drawing6 = 7,
    /// An ICMP error.
    Errors4 = 8,
    /// An ICMPv6 error.
    Errors6 = 9,
    /// An IPv4 fragment.
    Fragments4 = 10,
    /// An IPv6 packet with extension headers, such as a fragment.
    Extended6 = 11,
    /// As [`Comparing4`](Self::Comparing4), for a service that remembers servers by destination.
    Remembering4 = 12,
    /// As [`Comparing6`](Self::Comparing6), for a service that remembers servers by destination.
    Remembering6 = 13,
    /// An IPv4 packet of no connection and for no service, with `nat_icmp_send`.
    Strays4 = 14,
    /// An IPv6 packet of no connection and for no service, with `nat_icmp_send`.
    Strays6 = 15,
}

impl Chapter {
    /// Every chapter, at its number.
    pub const ALL: &'static [Chapter] = &[
        Chapter::Comparing4,
        Chapter::Comparing6,
        Chapter::Opening4,
        Chapter::Opening6,
        Chapter::Hashing4,
        Chapter::Hashing6,
        Chapter::Drawing4,
        Chapter::Drawing6,
        Chapter::Errors4,
        Chapter::Errors6,
        Chapter::Fragments4,
        Chapter::Extended6,
        Chapter::Remembering4,
        Chapter::Remembering6,
        Chapter::Strays4,
        Chapter::Strays6,
    ];

    /// Name of the program in the object.
    pub const fn program(self) -> &'static str {
        match self {
            Chapter::Comparing4 => "comparing4",
            Chapter::Comparing6 => "comparing6",
            Chapter::Opening4 => "opening4",
            Chapter::Opening6 => "opening6",
            Chapter::Hashing4 => "hashing4",
            Chapter::Hashing6 => "hashing6",
            Chapter::Drawing4 => "drawing4",
            Chapter::Drawing6 => "drawing6",
            Chapter::Errors4 => "errors4",
            Chapter::Errors6 => "errors6",
            Chapter::Fragments4 => "fragments4",
            Chapter::Extended6 => "extended6",
            Chapter::Remembering4 => "remembering4",
            Chapter::Remembering6 => "remembering6",
            Chapter::Strays4 => "strays4",
            Chapter::Strays6 => "strays6",
        }
    }
}

/// Room for chapters, with some to spare.
pub const CHAPTERS: usize = 32;

const _: () = assert!(Chapter::ALL.len() <= CHAPTERS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chapter_is_at_its_number() {
        for (at, chapter) in Chapter::ALL.iter().enumerate() {
            assert_eq!(*chapter as usize, at, "{}", chapter.program());
        }
    }
}
