//! Where the shell gets its [`Monotonic`] from.

use caribe_model::Monotonic;
use tokio::time::Instant;

/// The clock of a process: every task that feeds events to a core holds a copy of the same one.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is this moment.
    pub fn start() -> Self {
        Clock {
            origin: Instant::now(),
        }
    }

    /// The time now.
    pub fn now(&self) -> Monotonic {
        Monotonic::after_origin(self.origin.elapsed())
    }

    /// When `moment` comes, in tokio's terms.
    pub fn instant(&self, moment: Monotonic) -> Instant {
        self.origin + moment.since(Monotonic::ORIGIN)
    }
}
