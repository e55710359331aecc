//! The servers that are checked, whichever program they are, and what they see.

use std::time::Duration;

use anyhow::{Result, ensure};
use caribe_lab::Process;
use caribe_lab::wait::{Deadline, pause};

use super::bed::Bed;
use super::intervals::{Arrival, Intervals};
use super::listener::Listener;
use super::recorder::Recorder;
use super::web;

/// How a check is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Http,
}

/// Servers that answer, and a recorder that knows when they were asked.
pub(crate) struct Servers {
    recorder: Recorder,
    _program: Program,
}

/// What answers.
#[expect(dead_code, reason = "held for as long as they are to run")]
enum Program {
    Tcp(Listener),
    Http(Process),
}

impl Servers {
    /// Starts them, with room for recordings of so many checks.
    pub(crate) fn start(kind: Kind, bed: &Bed, room: usize) -> Result<Servers> {
        let processor = bed.sides.other;
        let program = match kind {
            Kind::Tcp => Program::Tcp(Listener::start(&bed.servers, processor)?),
            Kind::Http => Program::Http(web::start(&bed.director, &bed.servers, processor)?),
        };
        Ok(Servers {
            recorder: Recorder::start(&bed.servers, processor, room)?,
            _program: program,
        })
    }

    /// Begins to record.
    pub(crate) fn begin(&self) -> Result<()> {
        self.recorder.begin()
    }

    /// Ends the recording: the checks in order of time, and how long it was.
    pub(crate) fn end(&self) -> Result<(Vec<Arrival>, Duration)> {
        self.recorder.end()
    }

    /// Waits until so many of them are checked regularly, or nearly so many: what is too slow
    /// is to be measured too.
    pub(crate) fn wait_until_checked(
        &self,
        targets: usize,
        interval: Duration,
        mut meanwhile: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let deadline = Deadline::after(Duration::from_secs(60));
        loop {
            self.begin()?;
            pause(interval * 3 / 2);
            meanwhile()?;
            let (arrivals, length) = self.end()?;
            let seen = Intervals::of(&arrivals, interval, length).targets;
            if seen >= targets - targets / 10 {
                return Ok(());
            }
            ensure!(
                !deadline.passed(),
                "after {:?} only {seen} of {targets} servers are checked",
                deadline.elapsed()
            );
        }
    }
}
