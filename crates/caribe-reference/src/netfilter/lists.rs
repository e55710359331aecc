//! Lists of rules that are hard to translate, and packets that tell whether they were.

use std::collections::BTreeSet;

use crate::network::{self, Family};
use crate::random::Random;
use crate::scenario::{Chunk, Flags, Flow, Netfilter, Packet, Protocol, Scenario, Step, Tool};

/// The marks `M1` to `M8` of a list, which are its own. That of a packet is seen by the server that
/// it goes to.
fn marks(scenario: u32) -> [u32; network::SERVERS as usize] {
    let at = scenario << 3;
    let large = 0x7fff_ffff - at;
    [
        at,
        at + 1,
        at + 2,
        at + 3,
        0x0080_0000 + at,
        0x4000_0000 + at,
        large - 1,
        large,
    ]
}

/// Packets to each list.
const PACKETS: usize = 200;

/// A list with the name of its case.
struct List {
    name: &'static str,
    loaded: &'static [(Tool, &'static str)],
    saved_by: &'static [Tool],
}

const IPTABLES: &str = include_str!("iptables.rules");
const IP6TABLES: &str = include_str!("ip6tables.rules");

const LISTS: &[List] = &[
    List {
        name: "marks_of_iptables",
        loaded: &[(Tool::Iptables, IPTABLES), (Tool::Ip6tables, IP6TABLES)],
        saved_by: &[Tool::Iptables, Tool::Ip6tables],
    },
    List {
        name: "marks_of_iptables_as_nft_lists_them",
        loaded: &[(Tool::Iptables, IPTABLES), (Tool::Ip6tables, IP6TABLES)],
        saved_by: &[Tool::Nft],
    },
    List {
        name: "marks_of_nft_with_sets",
        loaded: &[(Tool::Nft, include_str!("sets.nft"))],
        saved_by: &[Tool::Nft],
    },
    List {
        name: "marks_of_nft_in_many_chains",
        loaded: &[(Tool::Nft, include_str!("chains.nft"))],
        saved_by: &[Tool::Nft],
    },
];

/// A scenario for each list, numbered from `first`.
pub(crate) fn scenarios(first: u32) -> Vec<(&'static str, Scenario)> {
    let numbered = (first..).zip(LISTS);
    numbered
        .map(|(number, list)| (list.name, list.scenario(number)))
        .collect()
}

impl List {
    fn scenario(&self, number: u32) -> Scenario {
        let loaded = self.loaded.iter();
        let lists: Vec<(Tool, String)> = loaded
            .map(|(tool, text)| (*tool, addressed(text, number)))
            .collect();
        let mut steps = Vec::new();
        for family in ["", " -6"] {
            for (mark, server) in marks(number).into_iter().zip(0..) {
                let address = match family {
                    "" => format!("{}:0", network::server(Family::V4, server)),
                    _ => format!("[{}]:0", network::server(Family::V6, server)),
                };
                steps.push(Step::Ipvsadm(format!("-A -f {mark}{family} -s rr")));
                steps.push(Step::Ipvsadm(format!(
                    "-a -f {mark}{family} -r {address} -g"
                )));
            }
        }
        let ports = ports(&lists);
        let mut random = Random::new(1, number);
        for client_port in (1024..).take(PACKETS) {
            packet(&mut random, &ports, client_port, &mut steps);
        }
        Scenario {
            number,
            marks: Vec::new(),
            netfilter: Some(Netfilter {
                lists,
                saved_by: self.saved_by.to_vec(),
            }),
            settings: Vec::new(),
            steps,
        }
    }
}

/// A list with the scenario's VIPs for `V0` to `V2` and `W0` to `W2`, and its marks.
fn addressed(text: &str, scenario: u32) -> String {
    let mut text = text.to_owned();
    for (letter, family) in [('V', Family::V4), ('W', Family::V6)] {
        for vip in 0..network::VIPS {
            let address = network::vip(family, scenario, vip).to_string();
            text = text.replace(&format!("{letter}{vip}"), &address);
        }
    }
    for (name, mark) in (1..).zip(marks(scenario)) {
        text = text.replace(&format!("M{name}"), &mark.to_string());
    }
    text
}

/// Ports where a rule may begin or end: numbers in the lists, and those beside them.
fn ports(lists: &[(Tool, String)]) -> Vec<u16> {
    let texts = lists.iter().map(|(_, text)| text.as_str());
    let words = texts.flat_map(|text| text.split(|it: char| !it.is_ascii_digit()));
    let numbers: BTreeSet<u16> = words.filter_map(|word| word.parse().ok()).collect();
    let around = |port: u16| [port.saturating_sub(1), port, port.saturating_add(1)];
    let all: BTreeSet<u16> = numbers.into_iter().flat_map(around).collect();
    all.into_iter().collect()
}

/// One packet, which goes to a server by its mark, or to nobody.
fn packet(random: &mut Random, ports: &[u16], client_port: u16, steps: &mut Vec<Step>) {
    let flow = Flow {
        family: *random.one(&[Family::V4, Family::V4, Family::V6]),
        protocol: *random.one(&[Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Sctp]),
        client: random.between(1, 250) as u8,
        client_port,
        vip: random.below(network::VIPS.into()) as u8,
        port: *random.one(ports),
    };
    match flow.protocol {
        Protocol::Tcp => steps.push(Step::Client(flow, Packet::new(Flags::SYN))),
        Protocol::Udp => steps.push(Step::Client(flow, Packet::new(Flags::NONE).payload(12))),
        // Sent again, as `generate` does it.
        Protocol::Sctp => {
            let init = Step::Client(flow, Packet::of_chunk(Chunk::Init).payload(16));
            steps.extend([init.clone(), init]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a list sets that has a block.
    fn set(list: &str) -> BTreeSet<u32> {
        let lines = list.lines().filter(|it| !it.contains(Netfilter::NO_BLOCK));
        let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        let marks = words.windows(2).filter_map(|pair| match pair {
            ["set" | "--set-mark", mark] => mark.parse().ok(),
            _ => None,
        });
        marks.collect()
    }

    #[test]
    fn every_mark_has_a_server_in_its_own_scenario() {
        let mut seen = BTreeSet::new();
        for (name, scenario) in scenarios(61_001) {
            let lists = &scenario.netfilter.as_ref().expect("rules").lists;
            let own: BTreeSet<u32> = marks(scenario.number).into();
            for (_, list) in lists {
                assert!(set(list).is_subset(&own), "{name}: {list}");
                assert!(set(list).len() > 5, "{name}");
                assert!(!["V0", "W0", "M1"].iter().any(|it| list.contains(it)));
            }
            for mark in own {
                assert!(seen.insert(mark), "{mark} of {name} is another's, too");
            }
        }
    }
}
