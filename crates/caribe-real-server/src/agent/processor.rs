//! How busy the processors are.

use std::fs;

use clap::ValueEnum;

use super::answer::Percent;
use crate::error::RealServerError;

/// What the percentage tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// Time that the processors were idle
    Idle,
    /// What the load average over a minute leaves of the processors
    Load,
}

/// A measurement, and what the next one is compared with.
#[derive(Debug)]
pub(super) struct Processor {
    measure: Measure,
    before: Option<Times>,
}

/// Time since the start of the machine, in the kernel's ticks, all processors together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    idle: u64,
    all: u64,
    processors: u64,
}

impl Processor {
    pub(super) fn new(measure: Measure) -> Processor {
        Processor {
            measure,
            before: None,
        }
    }

    /// What is free now; of processors that were not looked at before, all of it.
    pub(super) fn look(&mut self) -> Result<Percent, RealServerError> {
        let now = read("/proc/stat", times)?;
        let before = self.before.replace(now);
        Ok(match self.measure {
            Measure::Idle => before.map_or(Percent::FULL, |before| idle(before, now)),
            Measure::Load => free_of_load(read("/proc/loadavg", load)?, now.processors),
        })
    }
}

fn read<T>(path: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T, RealServerError> {
    let failed = |reason: String| RealServerError::Measure { path, reason };
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    parse(&text).ok_or_else(|| failed("it is not in the form that proc(5) describes".to_owned()))
}

/// Reads `/proc/stat`: user, nice, system, idle, iowait, irq, softirq and steal; guests' time is
/// within the user's.
fn times(text: &str) -> Option<Times> {
    let mut lines = text.lines();
    let total = lines.next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = total
        .split_ascii_whitespace()
        .take(8)
        .map(|ticks| ticks.parse().ok())
        .collect::<Option<_>>()?;
    let processors = lines.take_while(|line| line.starts_with("cpu")).count();
    Some(Times {
        // Waiting for a disk is idling too: the processor could do something else.
        idle: ticks.get(3)?.checked_add(*ticks.get(4)?)?,
        all: ticks
            .iter()
            .try_fold(0u64, |sum, ticks| sum.checked_add(*ticks))?,
        processors: u64::try_from(processors).ok().filter(|count| *count > 0)?,
    })
}

/// Idle time between two measurements. Counters of idle time may step back a little.
fn idle(before: Times, now: Times) -> Percent {
    let all = now.all.saturating_sub(before.all);
    let idle = now.idle.saturating_sub(before.idle).min(all);
    match all {
        0 => Percent::FULL,
        _ => Percent::new(idle.saturating_mul(100) / all),
    }
}

/// The first number of `/proc/loadavg`, in hundredths.
fn load(text: &str) -> Option<u64> {
    let (whole, hundredths) = text.split(' ').next()?.split_once('.')?;
    let hundredths: u64 = hundredths.parse().ok().filter(|number| *number < 100)?;
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(100)?.checked_add(hundredths)
}

fn free_of_load(hundredths: u64, processors: u64) -> Percent {
    Percent::new(100u64.saturating_sub(hundredths / processors.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 5 45 800 40 3 7 0 50 0\ncpu0 50 2 20 400 20 1 3 0 25 0\n\
                        cpu1 50 3 25 400 20 2 4 0 25 0\nintr 1 2 3\nctxt 9\n";

    #[test]
    fn ticks_are_read_from_proc() {
        let expected = Times {
            idle: 840,
            all: 1000,
            processors: 2,
        };
        assert_eq!(times(STAT), Some(expected));
        for text in [
            "",
            "cpu",
            "cpu  1 2 3\ncpu0 1",
            "cpu  1 2 3 x 5\ncpu0",
            "cpu  1 2 3 4 5\n",
            "intr 1",
        ] {
            assert_eq!(times(text), None, "{text:?}");
        }
        let most = format!("cpu  {0} {0} {0} {0} {0}\ncpu0", u64::MAX);
        assert_eq!(times(&most), None);
    }

    #[test]
    fn idleness_is_what_passed_between_two_looks() {
        let at = |idle, all| Times {
            idle,
            all,
            processors: 2,
        };
        assert_eq!(idle(at(840, 1000), at(990, 1200)), Percent::new(75));
        assert_eq!(idle(at(840, 1000), at(840, 1200)), Percent::new(0));
        assert_eq!(idle(at(840, 1000), at(840, 1000)), Percent::FULL);
        assert_eq!(idle(at(840, 1000), at(830, 1100)), Percent::new(0));
        assert_eq!(idle(at(840, 1000), at(1200, 1100)), Percent::FULL);
    }

    #[test]
    fn a_load_leaves_what_the_processors_have_beyond_it() {
        assert_eq!(load("0.57 0.40 0.30 1/100 4711\n"), Some(57));
        assert_eq!(load("12.05 1 1"), Some(1205));
        for text in ["", "1", "x.10", "1.100", "-1.00"] {
            assert_eq!(load(text), None, "{text:?}");
        }
        assert_eq!(free_of_load(57, 2), Percent::new(72));
        assert_eq!(free_of_load(1205, 2), Percent::new(0));
    }
}
