//! Plays everything to both, compares, and makes what differs small.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use caribe_lab::guest::Kernel;
use caribe_lab::wait::Deadline;
use caribe_reference::{
    Difference, GuestError, Scenario, Shrinking, Transcript, cases, compare, generate,
    play_in_guests,
};

use crate::arguments::{Arguments, MOST};
use crate::director;

/// Guests at a time: this machine has few processors, and Caribe needs one meanwhile.
const GUESTS: usize = 2;

/// Scenarios that are made small, of those that differ.
const SHRUNK: usize = 3;

/// How long that may take; what is small enough by then is shown.
const PATIENCE: Duration = Duration::from_secs(240);

/// Numbers of scenarios on their way to become small.
const CANDIDATES: u32 = 62_000;

/// What differed, by the scenario's number, told as a script.
pub(crate) struct Report {
    differences: BTreeMap<u32, String>,
    played: usize,
}

impl Report {
    /// Plays all that is asked for.
    pub(crate) fn make(arguments: &Arguments) -> Result<Report, String> {
        let mut scenarios: Vec<Scenario> = arguments
            .numbers()
            .into_iter()
            .map(|number| generate(arguments.seed, number))
            .collect();
        if arguments.only.is_none() {
            let cases = cases().into_iter();
            let cases = cases.filter(|case| arguments.ask_for(case.name));
            scenarios.extend(cases.map(|case| case.scenario));
        }
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest");
        let kernel = Kernel::of_debian(&cache).map_err(|error| error.to_string())?;
        let differing = differing(&kernel, &scenarios, GUESTS)?;
        let mut differences = BTreeMap::new();
        let mut shrinkings = Vec::new();
        for (scenario, difference) in differing {
            let text = format!("{scenario}\n{difference}");
            // Cases are small as they are.
            if scenario.number < MOST && shrinkings.len() < SHRUNK {
                // Making it small takes minutes, and may be interrupted.
                eprintln!("scenario {} differs:\n{text}", scenario.number);
                shrinkings.push(Shrinking::new(&scenario, difference.step));
            }
            differences.insert(scenario.number, text);
        }
        for (scenario, difference) in shrink(&kernel, shrinkings)? {
            differences.insert(scenario.number, format!("{scenario}\n{difference}"));
        }
        Ok(Report {
            differences,
            played: scenarios.len(),
        })
    }

    /// What differed in a case.
    pub(crate) fn of_case(&self, number: u32) -> Option<String> {
        self.differences.get(&number).cloned()
    }

    /// What differed in random scenarios.
    pub(crate) fn of_random(&self) -> Option<String> {
        let random = self
            .differences
            .iter()
            .filter(|(number, _)| **number < MOST);
        let mut text = String::new();
        for (number, difference) in random.clone() {
            let _infallible = writeln!(text, "\nscenario {number}:\n{difference}");
        }
        let count = random.count();
        (count > 0).then(|| format!("{count} of {} scenarios differ\n{text}", self.played))
    }
}

/// Plays scenarios to both at the same time; those that differ.
fn differing(
    kernel: &Kernel,
    scenarios: &[Scenario],
    guests: usize,
) -> Result<Vec<(Scenario, Difference)>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let (reference, ours) = std::thread::scope(|scope| {
        let (saved, bring) = mpsc::channel();
        let program = &program;
        let reference = scope.spawn(move || {
            let played = play_in_guests(kernel, program, scenarios, guests)?;
            let rules = played
                .iter()
                .filter_map(|it| Some((it.number, it.rules.as_ref()?)));
            let texts = rules.map(|(number, rules)| (number, rules.text.clone()));
            // Nobody takes it where no scenario has any.
            let _not_wanted = saved.send(texts.collect());
            Ok::<_, GuestError>(played)
        });
        let ours = director::play_all(scenarios, bring);
        let reference = reference.join();
        let reference = reference.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (reference.map_err(|error| error.to_string()), ours)
    });
    let (reference, ours): (Vec<Transcript>, Vec<Transcript>) = (reference?, ours?);
    let pairs = scenarios.iter().zip(reference.iter().zip(&ours));
    let different = pairs.filter_map(|(scenario, (reference, ours))| {
        compare(scenario, reference, ours).map(|difference| (scenario.clone(), difference))
    });
    Ok(different.collect())
}

/// Makes scenarios small that differ: all of them at once, because a guest is slow to boot.
fn shrink(
    kernel: &Kernel,
    mut shrinkings: Vec<Shrinking>,
) -> Result<Vec<(Scenario, Difference)>, String> {
    let deadline = Deadline::after(PATIENCE);
    while !shrinkings.iter().all(Shrinking::is_done) && !deadline.passed() {
        let rounds: Vec<Vec<Scenario>> = shrinkings.iter_mut().map(Shrinking::candidates).collect();
        // Candidates have numbers of their own, because connections of one must not be there when
        // the next is played. What depends on the addresses stays as large as it is.
        let numbered: Vec<Scenario> = (CANDIDATES..)
            .zip(rounds.iter().flatten())
            .map(|(number, scenario)| scenario.renumbered(number))
            .collect();
        let differ = differing(kernel, &numbered, 1)?;
        let differ: BTreeSet<u32> = differ.iter().map(|(scenario, _)| scenario.number).collect();
        let mut numbers = CANDIDATES..;
        for (shrinking, round) in shrinkings.iter_mut().zip(&rounds) {
            let numbers = numbers.by_ref().take(round.len());
            let outcomes: Vec<bool> = numbers.map(|number| differ.contains(&number)).collect();
            shrinking.learn(&outcomes);
        }
    }
    let smallest: Vec<Scenario> = shrinkings.iter().map(|it| it.smallest().clone()).collect();
    if smallest.is_empty() {
        return Ok(Vec::new());
    }
    differing(kernel, &smallest, 1)
}
