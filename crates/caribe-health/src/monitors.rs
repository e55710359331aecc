//! All monitors of a director: their timetable, and the bound on probes in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use caribe_model::{Monotonic, ServerKey, ServiceKey};
use serde::{Deserialize, Serialize};

use crate::{Monitor, MonitorEffect, MonitorEvent, Presumption, ProbeFailure, Settings, Verdict};

/// What a monitor watches: a real server as an entry of one virtual service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MonitorId {
    /// The service.
    pub service: ServiceKey,
    /// The server in it.
    pub server: ServerKey,
}

impl MonitorId {
    /// Where a probe connects to.
    pub fn target(&self) -> SocketAddr {
        SocketAddr::new(self.server.address, self.server.port)
    }
}

impl fmt::Display for MonitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.service, self.server)
    }
}

/// Bounds on what monitors may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Probes, and so sockets, at one time. A probe that is due while none is free waits its
    /// turn, the longest overdue first.
    pub probes_in_flight: usize,
    /// First probes are spread over this time (or the interval, if that is shorter), so that
    /// a start with many servers is no burst.
    pub spread: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            probes_in_flight: 512,
            spread: Duration::from_millis(500),
        }
    }
}

/// What happens to the set of monitors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MonitorsEvent {
    /// Begin to watch. A monitor of the same identity is retuned instead.
    Start(MonitorId, Settings, Presumption),
    /// Use other settings from now on. Unknown identities are ignored.
    Retune(MonitorId, Settings),
    /// Stop watching; a probe under way is forgotten.
    Stop(MonitorId),
    /// The probe with this ticket ended.
    Probed(Ticket, Result<(), ProbeFailure>),
    /// Time passed.
    Woke,
}

/// What the set of monitors wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MonitorsEffect {
    /// Connect to `target` and report by [`MonitorsEvent::Probed`] with the same ticket.
    Probe {
        /// Names this probe.
        ticket: Ticket,
        /// Whom to connect to.
        target: SocketAddr,
        /// Give up after this.
        limit: Duration,
    },
    /// Tell the director.
    Verdict(MonitorId, Verdict),
}

/// Names one probe, so that the late end of a forgotten one cannot be taken for news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Every monitor, by identity, with the timetable of their probes.
#[derive(Debug)]
pub struct Monitors {
    limits: Limits,
    /// Makes the spread of first probes differ between directors that watch the same servers.
    seed: u64,
    monitors: BTreeMap<MonitorId, Watched>,
    /// When each waiting monitor wants to be woken; the same times as in `monitors`.
    timetable: BTreeSet<(Monotonic, MonitorId)>,
    /// Probes under way; `None` when their monitor was stopped meanwhile: the socket is still
    /// open and still counts.
    in_flight: BTreeMap<Ticket, Option<MonitorId>>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Watched {
    monitor: Monitor,
    wake: Option<Monotonic>,
    ticket: Option<Ticket>,
}

impl Monitors {
    /// No monitors yet.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Monitors {
            limits,
            seed,
            monitors: BTreeMap::new(),
            timetable: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    /// Takes an event and says what to do about it.
    pub fn handle(&mut self, event: MonitorsEvent, now: Monotonic) -> Vec<MonitorsEffect> {
        let mut effects = Vec::new();
        match event {
            MonitorsEvent::Start(id, settings, presumption) => {
                self.start(id, settings, presumption, now, &mut effects);
            }
            MonitorsEvent::Retune(id, settings) => {
                self.tell(id, MonitorEvent::Retuned(settings), now, &mut effects);
            }
            MonitorsEvent::Stop(id) => self.stop(id),
            MonitorsEvent::Probed(ticket, result) => {
                if let Some(Some(id)) = self.in_flight.remove(&ticket) {
                    if let Some(watched) = self.monitors.get_mut(&id) {
                        watched.ticket = None;
                    }
                    self.tell(id, MonitorEvent::Probed(result), now, &mut effects);
                }
            }
            MonitorsEvent::Woke => {}
        }
        self.wake_due(now, &mut effects);
        effects
    }

    /// When [`MonitorsEvent::Woke`] should be sent at the latest; `None` while there is nothing
    /// to wait for but probes.
    pub fn next_wake(&self) -> Option<Monotonic> {
        if self.in_flight.len() >= self.limits.probes_in_flight {
            return None;
        }
        self.timetable.first().map(|(moment, _)| *moment)
    }

    /// Probes under way.
    pub fn probes_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn start(
        &mut self,
        id: MonitorId,
        settings: Settings,
        presumption: Presumption,
        now: Monotonic,
        effects: &mut Vec<MonitorsEffect>,
    ) {
        if self.monitors.contains_key(&id) {
            self.tell(id, MonitorEvent::Retuned(settings), now, effects);
            return;
        }
        let first_probe = now + self.phase(&id, &settings);
        let (monitor, wishes) = Monitor::new(settings, presumption, first_probe);
        let watched = Watched {
            monitor,
            wake: None,
            ticket: None,
        };
        self.monitors.insert(id, watched);
        self.fulfil(id, wishes, effects);
    }

    fn stop(&mut self, id: MonitorId) {
        let Some(watched) = self.monitors.remove(&id) else {
            return;
        };
        if let Some(moment) = watched.wake {
            self.timetable.remove(&(moment, id));
        }
        if let Some(ticket) = watched.ticket {
            self.in_flight.insert(ticket, None);
        }
    }

    fn wake_due(&mut self, now: Monotonic, effects: &mut Vec<MonitorsEffect>) {
        while self.in_flight.len() < self.limits.probes_in_flight {
            let Some(&(moment, id)) = self.timetable.first() else {
                return;
            };
            if moment > now {
                return;
            }
            self.timetable.remove(&(moment, id));
            if let Some(watched) = self.monitors.get_mut(&id) {
                watched.wake = None;
            }
            self.tell(id, MonitorEvent::Woke, now, effects);
        }
    }

    fn tell(
        &mut self,
        id: MonitorId,
        event: MonitorEvent,
        now: Monotonic,
        effects: &mut Vec<MonitorsEffect>,
    ) {
        let Some(watched) = self.monitors.get_mut(&id) else {
            return;
        };
        let wishes = watched.monitor.handle(event, now);
        self.fulfil(id, wishes, effects);
    }

    fn fulfil(
        &mut self,
        id: MonitorId,
        wishes: Vec<MonitorEffect>,
        effects: &mut Vec<MonitorsEffect>,
    ) {
        let Some(watched) = self.monitors.get_mut(&id) else {
            return;
        };
        for wish in wishes {
            match wish {
                MonitorEffect::Wake(moment) => {
                    if let Some(earlier) = watched.wake.replace(moment) {
                        self.timetable.remove(&(earlier, id));
                    }
                    self.timetable.insert((moment, id));
                }
                MonitorEffect::Probe => {
                    let ticket = Ticket(self.next_ticket);
                    self.next_ticket += 1;
                    watched.ticket = Some(ticket);
                    self.in_flight.insert(ticket, Some(id));
                    effects.push(MonitorsEffect::Probe {
                        ticket,
                        target: id.target(),
                        limit: watched.monitor.settings().interval(),
                    });
                }
                MonitorEffect::Verdict(verdict) => {
                    effects.push(MonitorsEffect::Verdict(id, verdict));
                }
            }
        }
    }

    /// How long after its start a monitor probes first.
    fn phase(&self, id: &MonitorId, settings: &Settings) -> Duration {
        let spread = self.limits.spread.min(settings.interval());
        let mut hasher = DefaultHasher::new();
        (self.seed, id).hash(&mut hasher);
        let thousandths = u32::try_from(hasher.finish() % 1000).unwrap_or(0);
        spread * thousandths / 1000
    }
}

#[cfg(test)]
mod tests;
