//! Where a director may differ from the kernel's ip_vs, and why. Whatever is not in this table
//! and differs is a defect.

use crate::seen::Seen;

/// A difference that is meant.
pub struct Deviation {
    /// What differs.
    pub what: &'static str,
    /// Why it may.
    pub reason: &'static str,
    /// How it is left out of the comparison.
    pub(crate) rule: Rule,
}

/// What is not compared.
pub(crate) enum Rule {
    /// Fields of a frame, in place.
    Frame(fn(&mut Seen)),
    /// Counters of packets and bytes to clients, if the reference sent an ICMP error.
    CountersOfErrors,
    /// By how many seconds the time left of connections may differ.
    TimeLeft(u32),
}

/// All deviations that are meant.
pub const DEVIATIONS: &[Deviation] = &[
    Deviation {
        what: "the IP header of an ICMP error, and how much it quotes",
        reason: "the kernel answers from an address of its own and quotes up to 548 bytes; XDP \
                 answers from the VIP and quotes the IP header and eight bytes, because its \
                 errors are of constant length (RFC 792 and 4443 ask for no more)",
        rule: Rule::Frame(icmp_errors),
    },
    Deviation {
        what: "packets and bytes to clients in `--stats`, once an ICMP error was sent",
        reason: "the kernel takes its own error about a connection for a packet of that \
                 connection to the client, and counts it; it was no server's",
        rule: Rule::CountersOfErrors,
    },
    Deviation {
        what: "the identification of a tunnel's outer header",
        reason: "the kernel counts; without fragmentation the number means nothing (RFC 6864)",
        rule: Rule::Frame(outer_identification),
    },
    Deviation {
        what: "the time that is left to a connection, by some seconds",
        reason: "the two are not asked at the same moment; Caribe's deadlines are those of the \
                 last packet, less 67 ms at most",
        rule: Rule::TimeLeft(5),
    },
];

fn icmp_errors(seen: &mut Seen) {
    let Some(quote) = seen.fields.iter().position(|(name, _)| name == "quote") else {
        return;
    };
    let mut place = 0;
    seen.fields.retain(|(name, _)| {
        place += 1;
        let header = ["source", "ttl", "tos", "id", "fragment", "length", "quote"];
        place > quote + 1 || !header.contains(&name.as_str())
    });
}

fn outer_identification(seen: &mut Seen) {
    let headers = seen.fields.iter().filter(|(name, _)| name == "ip").count();
    let quotes = seen.get("quote").is_some();
    if headers > 1 && !quotes {
        let mut fields = seen.fields.iter();
        if let Some(place) = fields.position(|(name, _)| name == "id") {
            seen.fields.remove(place);
        }
    }
}
