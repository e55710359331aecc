//! All monitors of a director: their timetable, and the bound on probes in flight.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use caribe_model::Monotonic;

use crate::probe::{Check, Finding, Reading};
use crate::wheel::Wheel;
use crate::{Monitor, MonitorId, Outcome, Presumption, ServerId, Settings};

/// Bounds on what monitors may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Probes, and so sockets, at one time. A probe that is due while none is free waits its
    /// turn, the longest overdue first.
    pub probes_in_flight: usize,
    /// Of these, programs that run at one time.
    pub programs_in_flight: usize,
    /// First probes are spread over this time (or the interval, if that is shorter), so that
    /// a start with many servers is no burst.
    pub spread: Duration,
    /// No more first probes than these begin in a second.
    pub starts_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            probes_in_flight: 32_768,
            programs_in_flight: 128,
            spread: Duration::from_millis(500),
            starts_per_second: 10_000,
        }
    }
}

impl Limits {
    /// The same within what a process may open. A probe has three files at most (a program is
    /// read by two pipes and waited for by a third descriptor; through a VIP it has two sockets),
    /// so a quarter of them leaves the rest of the process as much.
    #[must_use]
    pub fn within(self, files: u64) -> Limits {
        let quarter = usize::try_from(files / 4).unwrap_or(usize::MAX);
        Limits {
            probes_in_flight: self.probes_in_flight.min(quarter.max(1)),
            ..self
        }
    }
}

/// What happens to the set of monitors.
#[derive(Debug, Clone, PartialEq)]
pub enum MonitorsEvent {
    /// Begin to watch. A monitor of the same identity is retuned instead.
    Start(ServerId, Arc<Settings>, Presumption),
    /// Use other settings from now on; what is known stays. Unknown identities are ignored.
    Retune(ServerId, Arc<Settings>),
    /// Stop watching; a probe under way is forgotten.
    Stop(MonitorId),
    /// The probe with this ticket ended. Every ticket ends once.
    Probed(Ticket, Finding),
    /// Time passed.
    Woke,
}

/// What the set of monitors wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum MonitorsEffect {
    /// Probe, and report by [`MonitorsEvent::Probed`] with the same ticket.
    Probe(Ticket, Arc<Settings>),
    /// Tell the director.
    Report(Report),
    /// The director was in its own way; told once until the monitor has learnt something again.
    Blind(MonitorId, Finding),
}

/// News of one monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Whose.
    pub id: MonitorId,
    /// What.
    pub news: News,
}

/// What is news.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A verdict; reported only when it changes, and the first time.
    Verdict {
        /// The server may serve.
        passed: bool,
        /// The probe that made up the monitor's mind.
        finding: Finding,
    },
    /// A load, each time; an agent's words, when they are others.
    Reading(Reading),
}

/// Names one probe, so that the late end of a forgotten one cannot be taken for news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    place: Place,
    is_program: bool,
}

/// Where a monitor is kept; the generation tells it from those that were there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    index: usize,
    generation: u64,
}

/// Every monitor, by identity, with the timetable of their probes.
#[derive(Debug)]
pub struct Monitors {
    limits: Limits,
    /// Makes the spread of first probes differ between directors that watch the same servers.
    seed: u64,
    places: BTreeMap<MonitorId, Place>,
    watched: Vec<Option<Watched>>,
    vacant: Vec<usize>,
    generation: u64,
    wheel: Wheel<(Place, Monotonic)>,
    /// Monitors whose time has come, the longest overdue first.
    due: VecDeque<Place>,
    /// The same for those that run a program, while there are enough of these.
    programs_due: VecDeque<Place>,
    /// Probes under way, those of stopped monitors included: their sockets are still open.
    in_flight: usize,
    programs_in_flight: usize,
    /// When the next new monitor may probe first.
    next_start: Monotonic,
}

#[derive(Debug)]
struct Watched {
    id: MonitorId,
    generation: u64,
    settings: Arc<Settings>,
    monitor: Monitor,
    activity: Activity,
    latest: Option<Box<Finding>>,
    /// The last agent's words that were reported.
    told: Option<Reading>,
    blind: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// Waits for the next probe; timers with another time are out of date.
    Waiting { until: Monotonic },
    /// Its time has come, and it waits for a place among those in flight.
    Due,
    /// Waits for a probe to end.
    Probing { started: Monotonic },
}

impl Monitors {
    /// No monitors yet.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Monitors {
            limits,
            seed,
            places: BTreeMap::new(),
            watched: Vec::new(),
            vacant: Vec::new(),
            generation: 0,
            wheel: Wheel::new(),
            due: VecDeque::new(),
            programs_due: VecDeque::new(),
            in_flight: 0,
            programs_in_flight: 0,
            next_start: Monotonic::ORIGIN,
        }
    }

    /// Takes an event; what is to be done about it is added to `effects`.
    pub fn handle(
        &mut self,
        event: MonitorsEvent,
        now: Monotonic,
        effects: &mut Vec<MonitorsEffect>,
    ) {
        match event {
            MonitorsEvent::Start(server, settings, presumption) => {
                self.start(server, settings, presumption, now);
            }
            MonitorsEvent::Retune(server, settings) => self.retune(server, settings, now),
            MonitorsEvent::Stop(id) => self.stop(&id),
            MonitorsEvent::Probed(ticket, finding) => self.ended(ticket, finding, now, effects),
            MonitorsEvent::Woke => {}
        }
        self.wake_due(now, effects);
    }

    /// When [`MonitorsEvent::Woke`] should be sent at the latest; `None` while there is nothing
    /// to wait for but probes.
    pub fn next_wake(&self) -> Option<Monotonic> {
        if self.in_flight >= self.limits.probes_in_flight {
            return None;
        }
        self.wheel.next()
    }

    /// Probes under way.
    pub fn probes_in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many monitors there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What each monitor found last, in the order of their identities.
    pub fn latest(&self) -> impl Iterator<Item = (&MonitorId, &Finding)> {
        self.places.iter().filter_map(|(id, place)| {
            let watched = self.watched.get(place.index)?.as_ref()?;
            Some((id, watched.latest.as_deref()?))
        })
    }

    fn start(
        &mut self,
        server: ServerId,
        settings: Arc<Settings>,
        presumption: Presumption,
        now: Monotonic,
    ) {
        let id = MonitorId {
            server,
            name: settings.name.clone(),
        };
        if self.places.contains_key(&id) {
            return self.retune(server, settings, now);
        }
        let lot = self.lot(&id);
        let first = self.first_probe(lot, &settings, now);
        self.generation += 1;
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.watched.push(None);
            self.watched.len() - 1
        });
        let place = Place {
            index,
            generation: self.generation,
        };
        self.watched[index] = Some(Watched {
            id: id.clone(),
            generation: self.generation,
            settings,
            monitor: Monitor::new(presumption, lot),
            activity: Activity::Waiting { until: first },
            latest: None,
            told: None,
            blind: false,
        });
        self.places.insert(id, place);
        self.wheel.set(first, (place, first));
    }

    fn retune(&mut self, server: ServerId, settings: Arc<Settings>, now: Monotonic) {
        let id = MonitorId {
            server,
            name: settings.name.clone(),
        };
        let Some(place) = self.places.get(&id).copied() else {
            return;
        };
        let Some(watched) = at(&mut self.watched, place) else {
            return;
        };
        watched.settings = settings;
        // A wait that has become too long is cut short.
        let latest = now + watched.settings.timing.interval;
        if let Activity::Waiting { until } = watched.activity
            && until > latest
        {
            watched.activity = Activity::Waiting { until: latest };
            self.wheel.set(latest, (place, latest));
        }
    }

    fn stop(&mut self, id: &MonitorId) {
        // Its timer and its place in a queue are out of date from now on.
        if let Some(place) = self.places.remove(id) {
            self.watched[place.index] = None;
            self.vacant.push(place.index);
        }
    }

    fn ended(
        &mut self,
        ticket: Ticket,
        finding: Finding,
        now: Monotonic,
        effects: &mut Vec<MonitorsEffect>,
    ) {
        self.in_flight -= 1;
        self.programs_in_flight -= usize::from(ticket.is_program);
        let Some(watched) = at(&mut self.watched, ticket.place) else {
            return;
        };
        let Activity::Probing { started } = watched.activity else {
            return;
        };
        let outcome = match finding.passed() {
            _ if finding.code.is_local() => Outcome::Void,
            // Only an agent's own word about its health counts.
            _ if watched.settings.advises && !speaks_of_health(&finding) => Outcome::Void,
            true => Outcome::Good,
            false => Outcome::Bad,
        };
        let step = watched
            .monitor
            .ended(outcome, &watched.settings.timing, started, now);
        watched.activity = Activity::Waiting { until: step.next };
        self.wheel.set(step.next, (ticket.place, step.next));
        let report = |news| {
            MonitorsEffect::Report(Report {
                id: watched.id.clone(),
                news,
            })
        };
        if let Some(passed) = step.verdict {
            let finding = finding.clone();
            effects.push(report(News::Verdict { passed, finding }));
        }
        if let Some(reading) = &finding.reading {
            let is_news =
                matches!(reading, Reading::Load(_)) || watched.told.as_ref() != Some(reading);
            if is_news {
                effects.push(report(News::Reading(reading.clone())));
                watched.told = Some(reading.clone());
            }
        }
        let blind = finding.code.is_local();
        if blind && !watched.blind {
            effects.push(MonitorsEffect::Blind(watched.id.clone(), finding.clone()));
        }
        watched.blind = blind;
        watched.latest = Some(Box::new(finding));
    }

    fn wake_due(&mut self, now: Monotonic, effects: &mut Vec<MonitorsEffect>) {
        let (watched, due) = (&mut self.watched, &mut self.due);
        self.wheel.expire(now, |(place, moment)| {
            if let Some(watched) = at(watched, place)
                && watched.activity == (Activity::Waiting { until: moment })
            {
                watched.activity = Activity::Due;
                due.push_back(place);
            }
        });
        while self.in_flight < self.limits.probes_in_flight {
            let programs = self.programs_in_flight < self.limits.programs_in_flight;
            let waiting = self.programs_due.front().filter(|_| programs).is_some();
            let next = if waiting {
                self.programs_due.pop_front()
            } else {
                self.due.pop_front()
            };
            let Some(place) = next else {
                return;
            };
            let Some(watched) = at(&mut self.watched, place) else {
                continue;
            };
            let is_program = matches!(*watched.settings.check, Check::Program(_) | Check::Ssh(_));
            if is_program && !programs {
                self.programs_due.push_back(place);
                continue;
            }
            watched.activity = Activity::Probing { started: now };
            self.in_flight += 1;
            self.programs_in_flight += usize::from(is_program);
            let ticket = Ticket { place, is_program };
            effects.push(MonitorsEffect::Probe(ticket, Arc::clone(&watched.settings)));
        }
    }

    /// When a new monitor probes first.
    fn first_probe(&mut self, lot: u64, settings: &Settings, now: Monotonic) -> Monotonic {
        let spread = self.limits.spread.min(settings.timing.interval);
        let thousandths = u32::try_from(lot % 1000).unwrap_or(0);
        let paced = self.next_start.max(now);
        self.next_start = paced + Duration::from_secs(1) / self.limits.starts_per_second.max(1);
        // Added to the pace rather than instead of it: where both count, the later of the two
        // would let those that the lot holds back catch up with those that the pace does.
        paced + spread * thousandths / 1000
    }

    /// A number that is as good as random, and the same for the same monitor.
    fn lot(&self, id: &MonitorId) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, id).hash(&mut hasher);
        hasher.finish()
    }
}

/// Whether an agent said of its server that it serves or does not.
fn speaks_of_health(finding: &Finding) -> bool {
    matches!(&finding.reading, Some(Reading::Agent(report)) if report.health.is_some())
}

/// The monitor at a place, if it is still the same one.
fn at(watched: &mut [Option<Watched>], place: Place) -> Option<&mut Watched> {
    let watched = watched.get_mut(place.index)?.as_mut()?;
    (watched.generation == place.generation).then_some(watched)
}

#[cfg(test)]
mod tests;
