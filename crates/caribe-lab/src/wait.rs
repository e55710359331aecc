//! Deadlines, and waiting for something to become true. The only place that reads the clock.

use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::LabError;

/// How long to sleep between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// A point in time after which waiting is a failure.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    start: Instant,
    limit: Duration,
}

impl Deadline {
    /// A deadline `limit` from now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the lab drives real programs in real time"
    )]
    pub fn after(limit: Duration) -> Deadline {
        Deadline {
            start: Instant::now(),
            limit,
        }
    }

    /// Time since the deadline was set.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// True once the time is up.
    pub fn passed(&self) -> bool {
        self.elapsed() >= self.limit
    }

    /// Time left; zero once the time is up.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.elapsed())
    }
}

/// Sleeps. For giving real programs time; prefer waiting for what they do.
#[expect(
    clippy::disallowed_methods,
    reason = "the lab drives real programs in real time"
)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Looks again and again until `look` gives a value, at most `limit`; tells how it looked last
/// when it never did.
///
/// # Errors
///
/// [`LabError::Deadline`] with the last refusal of `look`.
pub fn until<T, E: Display>(
    what: impl Into<String>,
    limit: Duration,
    mut look: impl FnMut() -> Result<T, E>,
) -> Result<T, LabError> {
    let deadline = Deadline::after(limit);
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(last) if deadline.passed() => {
                return Err(LabError::Deadline {
                    what: what.into(),
                    waited: limit,
                    last: last.to_string(),
                });
            }
            Err(_) => pause(PAUSE),
        }
    }
}

/// As [`until`], for a condition that is merely true or false.
///
/// # Errors
///
/// [`LabError::Deadline`].
pub fn until_true(
    what: impl Into<String>,
    limit: Duration,
    mut look: impl FnMut() -> bool,
) -> Result<(), LabError> {
    until(what, limit, || {
        if look() { Ok(()) } else { Err("it is not so") }
    })
}
