//! Which processor does what.

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The processors of a bench with two sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sides {
    /// Runs what is measured: not the first, which most interrupts go to.
    pub(crate) measured: usize,
    /// Runs what is on the other end of the wire.
    pub(crate) other: usize,
}

impl Sides {
    /// The last and the first processor that this process may use.
    pub(crate) fn choose() -> Result<Sides> {
        let allowed = allowed()?;
        let (first, last) = (allowed.first(), allowed.last());
        let (other, measured) = first.zip(last).context("no processor to run on")?;
        ensure!(
            other != measured,
            "this bench needs two processors: one for what is measured, one for the other side"
        );
        Ok(Sides {
            measured: *measured,
            other: *other,
        })
    }
}

/// Binds the calling thread, and what it starts from now on, to the last processor.
pub(crate) fn pin_to_last() -> Result<()> {
    let allowed = allowed()?;
    pin(0, *allowed.last().context("no processor to run on")?)
}

/// Binds a thread to one processor; 0 is the calling one.
pub(crate) fn pin(thread: i32, processor: usize) -> Result<()> {
    let mut one = CpuSet::new();
    one.set(processor)?;
    sched_setaffinity(Pid::from_raw(thread), &one)
        .with_context(|| format!("cannot bind thread {thread} to processor {processor}"))
}

fn allowed() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0)).context("cannot tell the processors")?;
    let is_set = |processor: &usize| set.is_set(*processor).unwrap_or(false);
    Ok((0..CpuSet::count()).filter(is_set).collect())
}
