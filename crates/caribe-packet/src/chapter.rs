//! Chapters: the programs among which the packet path is divided.
//!
//! The kernel's verifier follows every path through a program and gives up after a million steps,
//! so the rarer parts of the way are programs of their own, entered by a tail call: their cost to
//! the verifier is theirs alone.

/// A program that is entered by a tail call, at its number in the map `CHAPTERS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Chapter {
    /// An IPv4 packet that belongs to no connection, for a service.
    Scheduling4 = 0,
    /// An IPv6 packet that belongs to no connection, for a service.
    Scheduling6 = 1,
    /// An ICMP error.
    Errors4 = 2,
    /// An ICMPv6 error.
    Errors6 = 3,
    /// An IPv4 fragment.
    Fragments4 = 4,
    /// An IPv6 packet with extension headers, such as a fragment.
    Extended6 = 5,
}

impl Chapter {
    /// Every chapter, at its number.
    pub const ALL: &'static [Chapter] = &[
        Chapter::Scheduling4,
        Chapter::Scheduling6,
        Chapter::Errors4,
        Chapter::Errors6,
        Chapter::Fragments4,
        Chapter::Extended6,
    ];

    /// Name of the program in the object.
    pub const fn program(self) -> &'static str {
        match self {
            Chapter::Scheduling4 => "scheduling4",
            Chapter::Scheduling6 => "scheduling6",
            Chapter::Errors4 => "errors4",
            Chapter::Errors6 => "errors6",
            Chapter::Fragments4 => "fragments4",
            Chapter::Extended6 => "extended6",
        }
    }
}

/// Room for chapters, with some to spare.
pub const CHAPTERS: usize = 16;

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
