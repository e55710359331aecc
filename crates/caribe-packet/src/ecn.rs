//! Explicit congestion notification at a tunnel's end (RFC 6040, figure 4).

/// The two bits of a packet that does not take part.
const NOT_ECT: u8 = 0;
/// A packet that may be marked, the second of two ways to say so.
const ECT_1: u8 = 1;
/// A packet that was marked: congestion experienced.
const CE: u8 = 3;

/// The TOS or traffic class of a packet that leaves a tunnel; `None` if it has to be dropped,
/// because a mark would be lost on a packet that does not take part.
#[inline(always)]
pub const fn leave_tunnel(outer: u8, inner: u8) -> Option<u8> {
    match (inner & 3, outer & 3) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) | (CE, _) => Some(inner),
        (_, CE) => Some(inner | CE),
        (_, ECT_1) => Some(inner & !3 | ECT_1),
        _ => Some(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figure 4 of RFC 6040: a row for each inner codepoint (Not-ECT, ECT(0), ECT(1), CE), a
    /// column for each outer one.
    #[test]
    fn figure_4() {
        let order = [0, 2, 1, 3];
        let rows = [
            [Some(0), Some(0), Some(0), None],
            [Some(2), Some(2), Some(1), Some(3)],
            [Some(1), Some(1), Some(1), Some(3)],
            [Some(3), Some(3), Some(3), Some(3)],
        ];
        for (inner, row) in order.into_iter().zip(rows) {
            for (outer, expected) in order.into_iter().zip(row) {
                assert_eq!(
                    leave_tunnel(0xa8 | outer, 0x28 | inner),
                    expected.map(|ecn| 0x28 | ecn),
                    "inner {inner}, outer {outer}"
                );
            }
        }
    }
}
