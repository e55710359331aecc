//! The time that a probe may take, all its stages together.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Code;
use super::finding::{Found, Step};

/// When a probe must have ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    started: Instant,
    limit: Duration,
}

impl Deadline {
    pub(super) fn after(limit: Duration) -> Deadline {
        Deadline {
            started: Instant::now(),
            limit,
        }
    }

    /// Time since the probe began.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Time left; zero when there is none.
    pub(super) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.elapsed())
    }

    /// Does a stage within what is left of the time; when it runs out the stage is dropped and
    /// the probe ends with this code and text.
    pub(super) async fn bound<T>(
        &self,
        code: Code,
        stage: impl fmt::Display,
        work: impl Future<Output = T>,
    ) -> Step<T> {
        // A limit beyond the clock's range never runs out.
        let Some(ends) = self.started.checked_add(self.limit) else {
            return Ok(work.await);
        };
        timeout_at(ends, work).await.map_err(|_elapsed| {
            let limit = self.limit.as_secs_f64();
            Found::new(code, format_args!("{stage} timed out after {limit} s"))
        })
    }
}
