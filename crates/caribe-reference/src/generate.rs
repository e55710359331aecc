//! Random scenarios.
//!
//! Mostly sensible ones: services with servers, connections that open, talk and close, an
//! administrator who edits the table meanwhile. What is unusual (a stray packet, a port used
//! twice, a command that must be refused) comes in now and then.

mod table;
mod traffic;

use crate::random::Random;
use crate::scenario::{Scenario, Step};

use table::Table;
use traffic::Traffic;

/// The scenario with this number of this seed.
pub fn generate(seed: u64, number: u32) -> Scenario {
    let mut random = Random::new(seed, number);
    let mut table = Table::default();
    let mut traffic = Traffic::default();
    let mut steps = Vec::new();
    let settings = settings(&mut random);
    for _ in 0..random.between(1, 3) {
        table.add_service(&mut random, number, &mut steps);
    }
    for _ in 0..random.between(8, 28) {
        match random.below(20) {
            0..4 => traffic.burst(&mut random, &table, &mut steps),
            4..8 => traffic.connect(&mut random, &table, &mut steps),
            8..13 => traffic.go_on(&mut random, &mut steps),
            13 => traffic.stray(&mut random, &table, &mut steps),
            14..19 => table.change(&mut random, number, &mut steps),
            _ => steps.push(Step::Ipvsadm(
                (*random.one(&["-L -n", "-S -n", "-L -n -c", "-L --timeout"])).to_owned(),
            )),
        }
    }
    Scenario {
        number,
        marks: table.marks(),
        netfilter: None,
        settings,
        steps,
    }
}

/// IPVS's sysctls, most of the time as they are.
fn settings(random: &mut Random) -> Vec<(String, u32)> {
    let mut settings = Vec::new();
    for (key, values) in SETTINGS {
        if random.once_in(6) {
            settings.push(((*key).to_owned(), *random.one(values)));
        }
    }
    settings
}

/// Values of sysctls other than their defaults. Those that defend against floods are not among
/// them: they go by chance, or by the machine's memory.
const SETTINGS: &[(&str, &[u32])] = &[
    ("conn_reuse_mode", &[0, 2, 3]),
    ("expire_quiescent_template", &[1]),
    ("sloppy_tcp", &[1]),
    ("sloppy_sctp", &[1]),
    ("secure_tcp", &[3]),
    ("nat_icmp_send", &[1]),
    ("pmtu_disc", &[0]),
];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_seed_names_the_same_scenario_for_ever() {
        assert_eq!(generate(1, 5), generate(1, 5));
        assert_ne!(generate(1, 5).steps, generate(2, 5).steps);
    }

    #[test]
    fn scenarios_have_commands_and_packets() {
        for number in 0..100 {
            let scenario = generate(1, number);
            let commands = scenario
                .steps
                .iter()
                .filter(|it| matches!(it, Step::Ipvsadm(_)));
            assert!(commands.count() >= 2, "{scenario}");
        }
        let packets = (0..100).flat_map(|number| generate(1, number).steps);
        let packets = packets.filter(|it| matches!(it, Step::Client(..)));
        assert!(packets.count() > 1000);
    }

    #[test]
    fn edits_change_something() {
        let mut edits = 0;
        for number in 0..200 {
            // What each server of a service was last set to, where that is sure.
            let mut known = HashMap::new();
            for step in generate(1, number).steps {
                let Step::Ipvsadm(words) = step else {
                    continue;
                };
                let Some((command, rest)) = words.split_once(' ') else {
                    continue;
                };
                let Some((service, server)) = rest.split_once(" -r ") else {
                    if command == "-D" {
                        known.retain(|(service, _), _| service != rest);
                    }
                    continue;
                };
                let (server, settings) = server.split_once(' ').unwrap_or((server, ""));
                let key = (service.to_owned(), server.to_owned());
                match command {
                    "-a" => {
                        known.entry(key).or_insert(settings.to_owned());
                    }
                    // May be refused.
                    "-e" if settings.contains(" -y ") => drop(known.remove(&key)),
                    "-e" => {
                        edits += 1;
                        let before = known.insert(key, settings.to_owned());
                        assert_ne!(before.as_deref(), Some(settings), "{number}: {words}");
                    }
                    _ => drop(known.remove(&key)),
                }
            }
        }
        assert!(edits > 100, "{edits} edits");
    }

    /// What a run of the usual length must not do without.
    #[test]
    fn two_hundred_scenarios_have_a_bit_of_everything() {
        let all: Vec<Scenario> = (0..200).map(|number| generate(1, number)).collect();
        let text: String = all.iter().map(Scenario::to_string).collect();
        for what in [
            " -p",
            " -M 255",
            " -M 12",
            " -o",
            " -x ",
            " -y ",
            "-A -f ",
            " -6",
            "-Z",
            "-E ",
            "-D ",
            ":0 -s",
            ":21 ",
            "gre",
            "gue",
            "--tun-csum",
            "-w 0",
            "--set",
            "-L -n -c",
            "-S -n",
            "mark TCP",
            "mark UDP",
            "mark SCTP",
            "--sctp-service 10.",
            "--sctp-service [",
            "sends SCTP",
            "(SCTP to",
            "secure_tcp",
            "nat_icmp_send",
            "pmtu_disc",
            "sloppy_tcp",
            "sloppy_sctp",
            "conn_reuse_mode",
            "expire_quiescent_template",
        ] {
            let count = text.matches(what).count();
            assert!(count >= 5, "{count} times `{what}`");
        }
    }
}
