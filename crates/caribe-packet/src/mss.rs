//! The maximum segment size that an end of a TCP connection announces in its SYN (RFC 9293, 3.7.1):
//! how large the segments may be that the *other* end sends.

use crate::checksum::Difference;
use crate::policy::{MSS_AUTO, Policy};
use crate::transport::TcpHeader;

/// The least that is announced instead of more, as Linux's least.
const LEAST: u16 = 88;

/// Options that are looked at: as many as there may be.
const MOST: usize = 40;

/// Kinds of options.
const END: u8 = 0;
const NOTHING: u8 = 1;
const MSS: u8 = 2;

/// What a policy lets an end announce, where IP packets may have `room` bytes; `ip` is the length of
/// their IP header.
#[inline(always)]
pub const fn limit(policy: &Policy, room: u16, ip: usize) -> Option<u16> {
    if policy.has(MSS_AUTO) {
        let headers = (ip + TcpHeader::LENGTH) as u16;
        let fits = room.saturating_sub(headers);
        return Some(if fits < LEAST { LEAST } else { fits });
    }
    if policy.mss != 0 {
        return Some(policy.mss);
    }
    None
}

/// Where the option's value is, counted from the TCP header, which is `end` bytes long: 60 at most.
/// `read` gives two bytes of it. `bounded` gives an offset below 64 back; the kernel's verifier
/// forgets in it how the offset came about, or else it would follow every way to fill the options.
#[inline(always)]
pub fn find(
    end: usize,
    read: impl Fn(usize) -> Option<[u8; 2]>,
    bounded: impl Fn(usize) -> usize,
) -> Option<usize> {
    let mut at = TcpHeader::LENGTH;
    for _ in 0..MOST {
        if at + 4 > end {
            return None;
        }
        at = bounded(at);
        let [kind, length] = read(at)?;
        at = match kind {
            END => return None,
            NOTHING => at + 1,
            MSS if length == 4 => return Some(at + 2),
            _ if length < 2 => return None,
            _ => at + length as usize,
        };
    }
    None
}

/// A value that is lowered to a limit, and what that does to the checksum; `at` is where it is in the
/// segment. Nothing if it is low enough.
#[inline(always)]
pub const fn lowered(value: [u8; 2], limit: u16, at: usize) -> Option<([u8; 2], Difference)> {
    if u16::from_be_bytes(value) <= limit {
        return None;
    }
    let new = limit.to_be_bytes();
    let (mut was, mut is) = (u16::from_ne_bytes(value), u16::from_ne_bytes(new));
    // Behind an odd number of bytes both are halves of two words, which sums the same if swapped.
    if at & 1 == 1 {
        (was, is) = (was.swap_bytes(), is.swap_bytes());
    }
    Some((new, Difference::none().replace_u16(was, is)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(flags: u32, mss: u16) -> Policy {
        Policy {
            flags,
            mss,
            ..Policy::default()
        }
    }

    #[test]
    fn what_may_be_announced() {
        assert_eq!(limit(&policy(0, 0), 1500, 20), None);
        assert_eq!(limit(&policy(MSS_AUTO, 0), 1480, 20), Some(1440));
        assert_eq!(limit(&policy(MSS_AUTO, 0), 1460, 40), Some(1400));
        assert_eq!(limit(&policy(MSS_AUTO, 0), 50, 40), Some(88));
        assert_eq!(limit(&policy(0, 1300), 1500, 20), Some(1300));
    }

    fn found(options: &[u8]) -> Option<usize> {
        let header = [&[0; TcpHeader::LENGTH][..], options].concat();
        let read = |at: usize| Some([*header.get(at)?, *header.get(at + 1)?]);
        find(header.len(), read, |at| at)
    }

    #[test]
    fn options_in_any_order() {
        let usual = [2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 1, 0];
        assert_eq!(found(&usual), Some(22));
        assert_eq!(found(&[1, 2, 4, 5, 0xb4, 0, 0, 0]), Some(23));
        assert_eq!(found(&[4, 2, 1, 1, 2, 4, 5, 0xb4]), Some(26));
        // The last of forty bytes.
        let mut last = [1; 40];
        last[36..].copy_from_slice(&[2, 4, 5, 0xb4]);
        assert_eq!(found(&last), Some(58));
    }

    #[test]
    fn what_is_no_such_option_is_left() {
        for options in [
            &[][..],
            &[0, 2, 4, 5, 0xb4, 0, 0, 0],
            &[2, 3, 5, 0, 1, 1, 1, 1],
            &[2, 0, 5, 0xb4],
            &[3, 1, 2, 4, 5, 0xb4, 0, 0],
            &[1, 1, 1, 2],
            &[8, 255, 2, 4, 5, 0xb4, 0, 0],
            &[1; 40],
        ] {
            assert_eq!(found(options), None, "{options:?}");
        }
    }

    proptest! {
        #[test]
        fn any_options_are_read_safely(options in prop::collection::vec(any::<u8>(), 0..41)) {
            if let Some(at) = found(&options) {
                prop_assert!(at + 2 <= TcpHeader::LENGTH + options.len());
            }
        }

        #[test]
        fn the_checksum_follows(
            mut segment in prop::collection::vec(any::<u8>(), 30..60),
            at in 4usize..28,
            limit: u16,
        ) {
            use crate::checksum::Sum;
            // A segment is never all zero.
            segment[0] |= 1;
            let before = Sum::new().add_slice(&segment).finish();
            let value = [segment[at], segment[at + 1]];
            let Some((new, difference)) = lowered(value, limit, at) else {
                prop_assert!(u16::from_be_bytes(value) <= limit);
                return Ok(());
            };
            prop_assert_eq!(u16::from_be_bytes(new), limit);
            segment[at..at + 2].copy_from_slice(&new);
            let after = difference.apply(u16::from_ne_bytes(before));
            prop_assert_eq!(after.to_ne_bytes(), Sum::new().add_slice(&segment).finish());
        }
    }
}
