//! Caribe against the real kernel: scenarios are played to the built binary, and to Linux's ip_vs
//! in an emulated guest, and whatever differs is a failure. Needs root.
//!
//! `cargo test -p caribe --test kernel -- --scenarios 1000 --seed 7` plays other ones than CI does;
//! `--only N` plays the one with this number. What may differ, and why, is in one table:
//! `caribe_reference::DEVIATIONS`.

mod arguments;
mod director;
mod report;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use caribe_reference::{agent, cases};
use libtest_mimic::{Failed, Trial};

use arguments::Arguments;
use report::Report;

fn main() -> ExitCode {
    // The guest runs this very program.
    if std::env::args().skip(1).eq(["agent".to_owned()]) {
        return match agent() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                println!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let arguments = match Arguments::parse(std::env::args()) {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::FAILURE;
        }
    };
    // All scenarios that tests ask for are played together, when the first test asks for its own.
    let played: Arc<OnceLock<Result<Report, String>>> = Arc::default();
    let played = move |arguments: &Arguments, look: &dyn Fn(&Report) -> Option<String>| match played
        .get_or_init(|| Report::make(arguments))
    {
        Ok(report) => look(report).map_or(Ok(()), |text| Err(Failed::from(text))),
        Err(error) => Err(Failed::from(error)),
    };
    let mut trials = Vec::new();
    if arguments.only.is_none() {
        for case in cases() {
            let (played, arguments) = (played.clone(), arguments.clone());
            let (name, number) = (case.name, case.scenario.number);
            trials.push(Trial::test(name, move || {
                played(&arguments, &|report| report.of_case(number))
            }));
        }
    }
    let (own, name) = (arguments.clone(), arguments.name());
    trials.push(Trial::test(name, move || played(&own, &Report::of_random)));
    libtest_mimic::run(&arguments.usual, trials).exit_code()
}
