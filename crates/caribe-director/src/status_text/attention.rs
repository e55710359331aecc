//! What an operator should know of a real server besides its numbers.

use std::fmt;

use super::Ago;
use crate::{MonitorStatus, ProbeStatus, ServerStatus, WatchStatus};

/// A line for each thing that is not as the file would have it: who ordered what, which monitors
/// speak against the server and since when, what its agent wants.
pub(super) fn write(server: &ServerStatus, now: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (name, watch) = (&server.name, &server.watch);
    if let Some(given) = &watch.order {
        let ago = Ago(now.saturating_sub(given.given));
        writeln!(
            f,
            "  ! {name}: {}, ordered by {}, {ago} ago",
            given.order, given.by
        )?;
    }
    if watch.kept {
        writeln!(
            f,
            "  ! {name}: has failed, and serves all the same: too few would be left (keep_below)"
        )?;
    }
    let failing = watch.monitors.iter().filter(|it| it.passed == Some(false));
    for monitor in failing.clone() {
        let since = Ago(monitor.since_seconds);
        write!(f, "  ! {name}: {} has failed for {since}", monitor.name)?;
        match &monitor.last {
            Some(last) => writeln!(f, ": {}: {} ({})", last.code, last.text, Took(last))?,
            None => writeln!(f)?,
        }
    }
    // What a monitor, an operator or an agent says has a line of its own.
    let is_told = |reason: &str| {
        let mut failing = failing.clone();
        let ordered = watch.order.as_ref().map(|given| given.order.to_string());
        failing.any(|it| reason.starts_with(&format!("{}: ", it.name)))
            || ordered.is_some_and(|order| reason.starts_with(&order))
            || watch.wish.is_some() && reason.starts_with("its agent")
    };
    if let Some(reason) = server.reason.as_ref()
        && !is_told(reason)
    {
        writeln!(f, "  ! {name}: {reason}")?;
    }
    if let Some(wish) = &watch.wish {
        writeln!(f, "  ! {name}: its agent wants {wish}")?;
    }
    if watch.climbing {
        writeln!(f, "  {name}: climbs to its weight after a recovery")?;
    }
    Ok(())
}

/// The last check in a word, of the monitor that matters most: one that has failed, else the one
/// that took longest.
pub(super) fn check(watch: &WatchStatus) -> String {
    let rank = |monitor: &&MonitorStatus| {
        let latency = monitor.last.as_ref().map_or(0, |last| last.latency_us);
        (monitor.passed == Some(false), latency)
    };
    let monitors = watch.monitors.iter().filter(|it| !it.advises);
    match monitors.max_by_key(rank).and_then(|it| it.last.as_ref()) {
        Some(last) => format!("{} {}", last.code, Took(last)),
        None => "-".to_owned(),
    }
}

/// How long a probe took, in the unit that suits it.
struct Took<'a>(&'a ProbeStatus);

impl fmt::Display for Took<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.latency_us {
            micros @ 0..1_000 => write!(f, "{micros}us"),
            micros @ 1_000..1_000_000 => write!(f, "{}ms", micros / 1_000),
            micros => write!(f, "{}.{}s", micros / 1_000_000, micros / 100_000 % 10),
        }
    }
}
