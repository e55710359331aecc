//! The judgement about one server of one service.

use caribe_model::Monotonic;
use serde::{Deserialize, Serialize};

use crate::{Check, ProbeFailure, Settings};

/// What a monitor found out; reported only when it is news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The server shall serve.
    Up,
    /// The server shall not serve.
    Down(ProbeFailure),
}

/// What is believed about a server before its first probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presumption {
    /// Nothing is known: the server does not serve until a probe succeeds.
    Unknown,
    /// The server was found serving in a data plane that outlived its director.
    Serving,
}

/// What happens to a monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MonitorEvent {
    /// The time asked for by [`MonitorEffect::Wake`] has come, or passed.
    Woke,
    /// The probe asked for by [`MonitorEffect::Probe`] has ended.
    Probed(Result<(), ProbeFailure>),
    /// The administrator changed the settings; what is known about the server stays.
    Retuned(Settings),
}

/// What a monitor wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MonitorEffect {
    /// Send [`MonitorEvent::Woke`] then. Replaces an earlier wish.
    Wake(Monotonic),
    /// Start one probe; its end is to be reported by [`MonitorEvent::Probed`].
    Probe,
    /// Report to the director.
    Verdict(Verdict),
}

/// A monitor: nanny's state machine for one real server of one virtual service.
///
/// nanny keeps a count of consecutive good probes that starts at
/// [`Settings::required_successes`], so that the first success admits a server at once; a failed
/// probe sets it to zero, so that a server that failed must earn its place. One failure is enough
/// to leave (Piranha has no retry count).
#[derive(Debug, Clone)]
pub struct Monitor {
    settings: Settings,
    /// Whether the server serves by this monitor's word.
    serving: bool,
    /// Whether a verdict was ever reported: the first one is always news.
    reported: bool,
    /// Consecutive good probes. `None` until a probe failed: nanny's initial credit, which is
    /// enough whatever the settings say.
    good: Option<u32>,
    activity: Activity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// Nothing to do: the server is not checked.
    Retired,
    /// Waits for the next probe.
    Waiting { until: Monotonic },
    /// Waits for a probe to end.
    Probing { started: Monotonic },
}

impl Monitor {
    /// A monitor that probes first at `first_probe`, and what it wants done now.
    pub fn new(
        settings: Settings,
        presumption: Presumption,
        first_probe: Monotonic,
    ) -> (Self, Vec<MonitorEffect>) {
        let mut monitor = Monitor {
            settings,
            serving: presumption == Presumption::Serving,
            reported: false,
            good: None,
            activity: Activity::Retired,
        };
        let effects = match settings.check {
            Check::None => monitor.retire(),
            Check::Tcp => monitor.wait(first_probe),
        };
        (monitor, effects)
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes an event and says what to do about it.
    pub fn handle(&mut self, event: MonitorEvent, now: Monotonic) -> Vec<MonitorEffect> {
        match (event, self.activity) {
            (MonitorEvent::Woke, Activity::Waiting { until }) if until <= now => {
                self.activity = Activity::Probing { started: now };
                vec![MonitorEffect::Probe]
            }
            (MonitorEvent::Woke, _) => Vec::new(),
            (MonitorEvent::Probed(result), Activity::Probing { started }) => {
                let next = match result {
                    // A probe that used up the interval is followed by the next one at once.
                    Ok(()) => (started + self.settings.interval()).max(now),
                    // Counted from the end, as nanny does: the failure may have taken the whole
                    // interval, and `required_successes` good probes make up `reentry` only if
                    // the first of them comes an interval after it.
                    Err(_) => now + self.settings.interval(),
                };
                let mut effects = self.judge(result);
                effects.extend(self.wait(next));
                effects
            }
            // The monitor was retired while the probe ran: its end does not matter any more.
            (MonitorEvent::Probed(_), _) => Vec::new(),
            (MonitorEvent::Retuned(settings), activity) => self.retune(settings, activity, now),
        }
    }

    fn judge(&mut self, result: Result<(), ProbeFailure>) -> Vec<MonitorEffect> {
        match result {
            Ok(()) => {
                if let Some(good) = &mut self.good {
                    *good = good.saturating_add(1);
                }
                let enough = self
                    .good
                    .is_none_or(|good| good >= self.settings.required_successes());
                if self.serving || enough {
                    self.report(true, Verdict::Up)
                } else {
                    Vec::new()
                }
            }
            Err(failure) => {
                self.good = Some(0);
                self.report(false, Verdict::Down(failure))
            }
        }
    }

    fn retune(
        &mut self,
        settings: Settings,
        activity: Activity,
        now: Monotonic,
    ) -> Vec<MonitorEffect> {
        self.settings = settings;
        match (settings.check, activity) {
            (Check::None, Activity::Retired) => Vec::new(),
            (Check::None, _) => self.retire(),
            (Check::Tcp, Activity::Retired) => self.wait(now),
            (Check::Tcp, Activity::Waiting { until }) => {
                self.wait(until.min(now + settings.interval()))
            }
            (Check::Tcp, Activity::Probing { .. }) => Vec::new(),
        }
    }

    fn wait(&mut self, until: Monotonic) -> Vec<MonitorEffect> {
        self.activity = Activity::Waiting { until };
        vec![MonitorEffect::Wake(until)]
    }

    /// Stops probing: a server that is not checked is good.
    fn retire(&mut self) -> Vec<MonitorEffect> {
        self.activity = Activity::Retired;
        self.good = None;
        self.report(true, Verdict::Up)
    }

    fn report(&mut self, serving: bool, verdict: Verdict) -> Vec<MonitorEffect> {
        let news = !self.reported || self.serving != serving;
        self.serving = serving;
        self.reported = true;
        if news {
            vec![MonitorEffect::Verdict(verdict)]
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
