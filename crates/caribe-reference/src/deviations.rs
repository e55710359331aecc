//! Where a director may differ from the kernel's ip_vs, and why. Whatever is not in this table
//! and differs is a defect.

use crate::play::Observed;
use crate::scenario::{Scenario, Step};
use crate::seen::Seen;

/// A difference that is meant.
#[derive(Debug)]
pub struct Deviation {
    /// What differs.
    pub what: &'static str,
    /// Why it may.
    pub reason: &'static str,
    /// How it is left out of the comparison.
    pub(crate) rule: Rule,
}

/// What is not compared.
#[derive(Debug)]
pub(crate) enum Rule {
    /// Fields of a frame, in place.
    Frame(fn(&mut Seen)),
    /// Counters of packets and bytes to clients, in a scenario like this once the reference was
    /// seen to do this.
    OutgoingCounters(fn(&Scenario, &Observed) -> bool),
    /// Templates of clients one of whose templates the reference made invalid, and the number of
    /// templates of each server in the same listing.
    InvalidTemplates,
    /// The time that is left to templates, in a scenario like this.
    TemplateTime(fn(&Scenario) -> bool),
    /// Scenarios do not do what shows it.
    Avoided,
    /// By how many seconds the time left of connections may differ.
    TimeLeft(u32),
}

/// All deviations that are meant.
pub const DEVIATIONS: &[Deviation] = &[
    // Before the next one, which takes away where the quote begins.
    Deviation {
        what: "the TTL in what `nat_icmp_send` quotes",
        reason: "the kernel has taken one off by then, as it was about to forward the packet; \
                 Caribe quotes it as it came",
        rule: Rule::Frame(ttl_of_a_stray),
    },
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
        rule: Rule::OutgoingCounters(|_, observed| is_icmp_error(observed)),
    },
    Deviation {
        what: "packets and bytes to clients in `--stats`, once a server was removed",
        reason: "the kernel stops counting what a removed server still sends to its clients; \
                 Caribe counts it for the service, because it was sent",
        rule: Rule::OutgoingCounters(|scenario, _| removes_a_server(scenario)),
    },
    Deviation {
        what: "the identification of a tunnel's outer header",
        reason: "the kernel counts; without fragmentation the number means nothing (RFC 6864)",
        rule: Rule::Frame(outer_identification),
    },
    Deviation {
        what: "the source port of a GUE tunnel's outer header",
        reason: "both make it from a hash of the inner flow, each with a seed of its own",
        rule: Rule::Frame(gue_source_port),
    },
    Deviation {
        what: "the time that is left to a connection, by some seconds",
        reason: "the two are not asked at the same moment; Caribe's deadlines are those of the \
                 last packet, less 67 ms at most",
        rule: Rule::TimeLeft(9),
    },
    Deviation {
        what: "templates whose server is gone, or quiesced with `expire_quiescent_template`",
        reason: "the kernel makes such a template invalid when its client comes back (it is listed \
                 with port 65535), keeps it to its end and makes another one; Caribe has one entry \
                 for one key, which names the new server as soon as there is one",
        rule: Rule::InvalidTemplates,
    },
    Deviation {
        what: "the time left of a template that is older than an edit of its service's persistence",
        reason: "the kernel goes on with the timeout that the template was made with; Caribe's has \
                 that of the service from its next connection on, which is what an edit asks for",
        rule: Rule::TemplateTime(edits_a_service),
    },
    Deviation {
        what: "connections of a family whose last service was removed",
        reason: "the kernel takes its hooks out with the last service of a family: packets of \
                 connections that are left go to its own stack, which resets them, and are \
                 balanced again once any service is added. Caribe drops them as it drops those of \
                 every other removed service, whatever other services there are",
        // `play` adds a service of each family that stays.
        rule: Rule::Avoided,
    },
    Deviation {
        what: "a server's forwarding method changed under its connections",
        reason: "the kernel keeps one route per server for all methods. After a change between \
                 NAT or tunnelling and direct routing it sends packets of the other method by a \
                 route that was made for the first, and then asks for the VIP's own MAC address \
                 where the server's belongs: the connection hangs. Caribe's goes on",
        // `generate` gives every server of a service one method in a scenario.
        rule: Rule::Avoided,
    },
    Deviation {
        what: "an edit of a server that changes nothing, under wrr",
        reason: "the kernel's wrr starts over at the newest server whenever `ipvsadm -e` is said; \
                 Caribe compares the table that is wanted with the one that is there, and leaves \
                 alone what does not differ",
        // `generate` makes no such edit.
        rule: Rule::Avoided,
    },
    Deviation {
        what: "what a connection counts whose client begins anew, until the clock's next tick",
        reason: "the kernel leaves the old one to its timer, and schedulers count both for some \
                 milliseconds; Caribe puts the new one in its place",
        // The reference is given the time of a tick after every packet.
        rule: Rule::Avoided,
    },
    Deviation {
        what: "firewall marks over 2,147,483,647 as ipvsadm prints them",
        reason: "ipvsadm takes them and prints negative numbers, in `-S` too, which it does not take \
                 back; Caribe's prints what it takes, so that a saved table can be restored",
        // No mark of a scenario is that large.
        rule: Rule::Avoided,
    },
    Deviation {
        what: "what several changes in one `ipvsadm -R` leave behind as a scheduler's state",
        reason: "the kernel takes each line by itself, and its wrr remembers the way to the last \
                 table; Caribe takes all lines as one change, and goes there at once",
        // Caribe is given one change at a time.
        rule: Rule::Avoided,
    },
];

fn is_icmp_error(observed: &Observed) -> bool {
    match observed {
        Observed::Sent(frames) => frames.iter().any(|frame| frame.get("quote").is_some()),
        Observed::Said(_) | Observed::NoAnswer => false,
    }
}

fn removes_a_server(scenario: &Scenario) -> bool {
    let removes = |words: &str| words.starts_with("-d ") || words.starts_with("-D ");
    let mut steps = scenario.steps.iter();
    steps.any(|step| matches!(step, Step::Ipvsadm(words) if removes(words)))
}

fn edits_a_service(scenario: &Scenario) -> bool {
    let mut steps = scenario.steps.iter();
    steps.any(|step| matches!(step, Step::Ipvsadm(words) if words.starts_with("-E ")))
}

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

fn ttl_of_a_stray(seen: &mut Seen) {
    let is_told = seen.get("icmp") == Some("3/3") && seen.get("to") != Some("clients");
    let quote = seen.fields.iter().position(|(name, _)| name == "quote");
    let Some(quote) = quote.filter(|_| is_told) else {
        return;
    };
    let mut quoted = seen.fields.iter().skip(quote);
    if let Some(place) = quoted.position(|(name, _)| name == "ttl") {
        seen.fields.remove(quote + place);
    }
}

fn outer_identification(seen: &mut Seen) {
    let headers = seen.fields.iter().filter(|(name, _)| name == "ip").count();
    let quotes = seen.get("quote").is_some();
    let is_gre = seen.get("protocol") == Some("47");
    if (headers > 1 || is_gre || is_gue(seen)) && !quotes {
        let mut fields = seen.fields.iter();
        if let Some(place) = fields.position(|(name, _)| name == "id") {
            seen.fields.remove(place);
        }
    }
}

fn is_gue(seen: &Seen) -> bool {
    seen.get("udp").is_some() && seen.get("dport") == Some("6080")
}

fn gue_source_port(seen: &mut Seen) {
    if is_gue(seen) {
        seen.fields.retain(|(name, _)| name != "sport");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deviation_says_what_and_why() {
        for Deviation { what, reason, .. } in DEVIATIONS {
            assert!(!what.is_empty() && reason.len() > what.len(), "{what}");
        }
    }
}
