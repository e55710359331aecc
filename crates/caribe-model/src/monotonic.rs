//! Time as the functional core sees it.

use std::ops::Add;
use std::time::Duration;

/// A moment on a clock that never steps: the time since an origin that the shell chose, the same
/// one for every event of a process. Wall-clock time has no place in the core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The origin itself.
    pub const ORIGIN: Monotonic = Monotonic(Duration::ZERO);

    /// The moment `elapsed` after the origin.
    pub const fn after_origin(elapsed: Duration) -> Self {
        Monotonic(elapsed)
    }

    /// Time that passed since `earlier`; zero when `earlier` lies in the future.
    pub const fn since(self, earlier: Monotonic) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Monotonic;

    /// The later moment; stays at the end of time instead of overflowing.
    fn add(self, duration: Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(duration))
    }
}
