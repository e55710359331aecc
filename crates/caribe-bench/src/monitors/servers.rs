//! The servers that are checked, whichever program they are.

use std::time::Duration;

use anyhow::{Result, ensure};
use caribe_lab::wait::{Deadline, pause};

use super::bed::Bed;
use super::intervals::{Arrival, Intervals};
use super::listener::Listener;
use super::web::{Begin, Web};

/// How a check is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Http,
}

/// Servers that answer, and know when they were asked.
pub(crate) enum Servers {
    Tcp(Listener),
    Http(Web, Option<Begin>),
}

impl Servers {
    /// Starts them, with room for recordings of so many checks.
    pub(crate) fn start(kind: Kind, bed: &Bed, room: usize) -> Result<Servers> {
        let processor = bed.sides.other;
        Ok(match kind {
            Kind::Tcp => Servers::Tcp(Listener::start(&bed.servers, processor, room)?),
            Kind::Http => Servers::Http(Web::start(&bed.director, &bed.servers, processor)?, None),
        })
    }

    /// Begins to record.
    pub(crate) fn begin(&mut self) -> Result<()> {
        match self {
            Servers::Tcp(listener) => listener.begin(),
            Servers::Http(web, begin) => {
                *begin = Some(web.begin()?);
                Ok(())
            }
        }
    }

    /// Ends the recording: the checks in order of time, and how long it was.
    pub(crate) fn end(&mut self) -> Result<(Vec<Arrival>, Duration)> {
        match self {
            Servers::Tcp(listener) => listener.end(),
            Servers::Http(web, begin) => match begin.take() {
                Some(begin) => web.end(begin),
                None => Ok((Vec::new(), Duration::ZERO)),
            },
        }
    }

    /// Waits until so many of them are checked regularly.
    pub(crate) fn wait_until_checked(
        &mut self,
        targets: usize,
        interval: Duration,
        mut meanwhile: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let deadline = Deadline::after(Duration::from_secs(90));
        loop {
            self.begin()?;
            pause(interval * 3 / 2);
            meanwhile()?;
            let (arrivals, length) = self.end()?;
            let seen = Intervals::of(&arrivals, interval, length).targets;
            if seen >= targets {
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
