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
        steps,
    }
}

#[cfg(test)]
mod tests {
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
}
