//! One server of one service: what its monitors, its agent and its load come to.
//!
//! The state of a server is the set of what its monitors say, each with its reason; whether it
//! serves, and with what weight, is derived from that on every question and never stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use caribe_model::Monotonic;
use serde::{Deserialize, Serialize};

use crate::climb::Climb;
use crate::probe::agent::{AgentReport, AgentWish};
use crate::probe::{Finding, Reading};
use crate::weight::load_adjusted;
use crate::{Claim, History, Initial, MonitorName, Order, Presumption, Settings};

/// What is configured about a server's weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServerRules {
    /// The configured weight; with 0 the server takes no new connections.
    pub weight: u32,
    /// When it fails, a server that has served keeps its place with weight 0.
    pub quiesce: bool,
    /// After a recovery the weight doubles at these intervals until it is what it should be;
    /// `None`: it is so at once.
    pub ramp: Option<Duration>,
    /// A load monitor adjusts the weight.
    pub by_load: bool,
}

/// Whether a server can serve by what its monitors say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// No monitor speaks against it, and not all have spoken.
    Checking,
    /// Every monitor is content.
    Up,
    /// A monitor is not.
    Down,
}

/// What one monitor says of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// Whether the server may serve; `None` before the first word. One that advises about weights
    /// may stay without, and speaks against the server only if that is what its agent says.
    pub verdict: Option<bool>,
    /// The probe that brought the verdict about.
    pub finding: Option<Finding>,
    /// Since when the verdict is that.
    pub since: Monotonic,
    /// Only advises about weights.
    pub advises: bool,
}

/// Something that happened to a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occurrence {
    /// A monitor changed its mind.
    Verdict {
        /// Which monitor.
        monitor: MonitorName,
        /// What it thinks now.
        passed: bool,
        /// Why.
        finding: Finding,
    },
    /// The server as a whole stands differently.
    Standing(Standing),
    /// An agent said something new.
    Agent(AgentReport),
    /// An operator gave or lifted an order.
    Order {
        /// The order that holds now.
        order: Option<Order>,
        /// Who gave or lifted it.
        by: String,
    },
}

/// The state of a server.
#[derive(Debug, Clone)]
pub struct ServerHealth {
    rules: ServerRules,
    opinions: BTreeMap<MonitorName, Opinion>,
    /// What to believe until all monitors have spoken: the weight that an adopted data plane
    /// had, or that the server serves by configuration.
    presumed: Option<Presumed>,
    /// It has served before: only then is there something to quiesce.
    served: bool,
    /// It climbs after a recovery.
    climb: Option<Climb>,
    /// The weight by its load.
    balanced: Option<u32>,
    /// Percentage of the weight, by its agent.
    percentage: Option<u32>,
    /// What its agent wants.
    wish: Option<AgentWish>,
    standing: Standing,
    since: Monotonic,
    flaps: u64,
    history: History<Occurrence>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presumed {
    /// The weight in a data plane that was adopted.
    Adopted(u32),
    /// Up by configuration.
    Up,
}

impl ServerHealth {
    /// A server that none of its monitors has spoken of. `adopted` is its weight in a data plane
    /// that outlived its director.
    pub fn new(
        rules: ServerRules,
        monitors: &[Arc<Settings>],
        adopted: Option<u32>,
        now: Monotonic,
    ) -> Self {
        let deciding = || monitors.iter().filter(|settings| !settings.advises);
        let all = |initial| deciding().all(|settings| settings.timing.initial == initial);
        let any = |initial| deciding().any(|settings| settings.timing.initial == initial);
        let presumed = match adopted {
            _ if any(Initial::Checking) => None,
            Some(weight) => Some(Presumed::Adopted(weight)),
            None if all(Initial::Up) => Some(Presumed::Up),
            None => None,
        };
        let mut state = ServerHealth {
            rules,
            opinions: BTreeMap::new(),
            presumed,
            served: presumed.is_some(),
            climb: None,
            balanced: None,
            percentage: None,
            wish: None,
            standing: Standing::Checking,
            since: now,
            flaps: 0,
            history: History::new(),
        };
        if let (Some(Presumed::Adopted(weight)), true) = (presumed, rules.weight > 0) {
            // A climb that a restart cut off goes on where it was.
            state.climb = rules
                .ramp
                .and_then(|every| Climb::resumed(weight, rules.weight, every, now));
            state.balance(weight);
        }
        state.watch(monitors, now);
        state
    }

    /// What a monitor of this server is to believe at first.
    pub fn presumption(&self, settings: &Settings) -> Presumption {
        match (settings.timing.initial, self.presumed) {
            (Initial::Checking, _) => Presumption::Unknown,
            (Initial::Up, None | Some(Presumed::Up)) => Presumption::Serving,
            (_, Some(Presumed::Adopted(weight))) if weight > 0 => Presumption::Serving,
            _ => Presumption::Unknown,
        }
    }

    /// Takes a changed configuration.
    pub fn configure(&mut self, rules: ServerRules, monitors: &[Arc<Settings>], now: Monotonic) {
        let before = std::mem::replace(&mut self.rules, rules);
        if before.weight != rules.weight || !rules.by_load {
            self.balanced = None;
        }
        if rules.ramp.is_none() {
            self.climb = None;
        }
        self.watch(monitors, now);
    }

    /// Forgets the opinions of monitors that are gone, and awaits those of new ones. A server
    /// that serves goes on while a new monitor makes up its mind.
    fn watch(&mut self, monitors: &[Arc<Settings>], now: Monotonic) {
        let names = |settings: &Arc<Settings>| settings.name.clone();
        let wanted: BTreeMap<MonitorName, bool> = monitors
            .iter()
            .map(|one| (names(one), one.advises))
            .collect();
        self.opinions.retain(|name, _| wanted.contains_key(name));
        for (name, advises) in wanted {
            let opinion = self.opinions.entry(name).or_insert(Opinion {
                verdict: None,
                finding: None,
                since: now,
                advises,
            });
            opinion.advises = advises;
        }
        self.settle(now);
    }

    /// Takes a monitor's verdict. Tells whether anything came of it.
    pub fn judged(
        &mut self,
        monitor: &MonitorName,
        passed: bool,
        finding: Finding,
        now: Monotonic,
    ) -> bool {
        // A monitor that was stopped meanwhile.
        let Some(opinion) = self.opinions.get_mut(monitor) else {
            return false;
        };
        if opinion.verdict != Some(passed) {
            opinion.since = now;
            let occurrence = Occurrence::Verdict {
                monitor: monitor.clone(),
                passed,
                finding: finding.clone(),
            };
            self.history.note(occurrence, now);
        }
        opinion.verdict = Some(passed);
        opinion.finding = Some(finding);
        self.settle(now);
        true
    }

    /// Takes what a load monitor or an agent read.
    pub fn read(&mut self, reading: &Reading, now: Monotonic) {
        match reading {
            Reading::Load(load) => {
                // nanny looks at the load only once the ramp is over.
                if self.standing == Standing::Up && self.climb.is_none() && self.rules.by_load {
                    let weight = self.balanced.unwrap_or(self.rules.weight);
                    self.balance(load_adjusted(self.rules.weight, weight, load.value()));
                }
            }
            Reading::Agent(report) => {
                if let Some(percentage) = report.weight {
                    self.percentage = Some(percentage.get());
                }
                match report.wish {
                    Some(AgentWish::Ready) => self.wish = None,
                    Some(wish) => self.wish = Some(wish),
                    None => {}
                }
                self.history.note(Occurrence::Agent(report.clone()), now);
            }
        }
    }

    /// Notes that an operator gave or lifted an order.
    pub fn ordered(&mut self, order: Option<Order>, by: String, now: Monotonic) {
        self.history.note(Occurrence::Order { order, by }, now);
    }

    /// Goes on with the climb. Tells whether the weight changed.
    pub fn tick(&mut self, now: Monotonic) -> bool {
        let Some(climb) = &mut self.climb else {
            return false;
        };
        let changed = climb.go_on(self.rules.weight, now);
        if climb.has_arrived(self.rules.weight) {
            self.climb = None;
        }
        changed
    }

    /// What the server should have in the table by itself, with an operator's order.
    pub fn claim(&self, order: Option<Order>) -> Claim {
        if order == Some(Order::Maintenance) || self.wish == Some(AgentWish::Maint) {
            return Claim::Absent;
        }
        let drained = order == Some(Order::Drain) || self.wish == Some(AgentWish::Drain);
        let weight = match order {
            _ if drained => 0,
            Some(Order::Weight(weight)) => weight,
            _ => self.weight(),
        };
        match (self.standing, self.presumed) {
            (Standing::Up, _) => Claim::Serves(weight),
            (Standing::Checking, Some(Presumed::Up)) => Claim::Serves(weight),
            // Quiesced it was, quiesced it stays until its monitors have spoken.
            (Standing::Checking, Some(Presumed::Adopted(0))) => Claim::Serves(0),
            (Standing::Checking, Some(Presumed::Adopted(_))) => Claim::Serves(weight),
            (Standing::Checking, None) => Claim::Awaited,
            (Standing::Down, _) => Claim::Failed {
                weight,
                quiesced: self.rules.quiesce && self.served,
            },
        }
    }

    /// The weight while it serves, without an order: configured, or on its climb, or by its
    /// load; of that the percentage that its agent wants, at least 1 unless that is 0.
    fn weight(&self) -> u32 {
        let weight = match &self.climb {
            Some(climb) => climb.weight(self.rules.weight),
            None => self.balanced.unwrap_or(self.rules.weight),
        };
        match self.percentage {
            None => weight,
            Some(0) => 0,
            Some(percentage) => {
                let share = u64::from(weight) * u64::from(percentage) / 100;
                u32::try_from(share).unwrap_or(u32::MAX).max(weight.min(1))
            }
        }
    }

    /// Keeps a weight by load only if it is one.
    fn balance(&mut self, weight: u32) {
        let base = self.rules.weight;
        let highest = base.saturating_mul(crate::weight::LOAD_SCALE);
        let by_load = self.rules.by_load && weight > base && weight <= highest;
        self.balanced = by_load.then_some(weight);
    }

    /// What follows for the server as a whole.
    fn settle(&mut self, now: Monotonic) {
        let deciding = || self.opinions.values().filter(|opinion| !opinion.advises);
        let mut all = self.opinions.values();
        let standing = if all.any(|opinion| opinion.verdict == Some(false)) {
            Standing::Down
        } else if self.standing == Standing::Up
            || deciding().all(|opinion| opinion.verdict == Some(true))
        {
            // A server that serves goes on while a new monitor makes up its mind.
            Standing::Up
        } else {
            Standing::Checking
        };
        if standing == self.standing {
            return;
        }
        match (self.standing, standing) {
            (Standing::Down, Standing::Up) => {
                let climb = self
                    .rules
                    .ramp
                    .map(|every| Climb::started(self.rules.weight, every, now));
                self.climb = climb.filter(|climb| !climb.has_arrived(self.rules.weight));
            }
            (_, Standing::Down) => {
                self.flaps += u64::from(self.standing == Standing::Up);
                self.climb = None;
                self.balanced = None;
            }
            _ => {}
        }
        self.served |= standing == Standing::Up;
        self.standing = standing;
        self.since = now;
        self.history.note(Occurrence::Standing(standing), now);
    }

    /// Whether it can serve by what its monitors say.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Since when it stands so.
    pub fn since(&self) -> Monotonic {
        self.since
    }

    /// How often it went from up to down since it is watched.
    pub fn flaps(&self) -> u64 {
        self.flaps
    }

    /// It has served before.
    pub fn has_served(&self) -> bool {
        self.served
    }

    /// It was found in a data plane that outlived its director, and not all of its monitors have
    /// spoken since.
    pub fn is_as_found(&self) -> bool {
        self.standing == Standing::Checking && matches!(self.presumed, Some(Presumed::Adopted(_)))
    }

    /// Its weight is still climbing after a recovery.
    pub fn climbs(&self) -> bool {
        self.climb.is_some()
    }

    /// What its agent wants of its own accord.
    pub fn wish(&self) -> Option<AgentWish> {
        self.wish
    }

    /// What each monitor says.
    pub fn opinions(&self) -> &BTreeMap<MonitorName, Opinion> {
        &self.opinions
    }

    /// The reason why it is down: that of the monitor that spoke against it first.
    pub fn trouble(&self) -> Option<(&MonitorName, &Finding)> {
        let against = self
            .opinions
            .iter()
            .filter(|(_, opinion)| opinion.verdict == Some(false));
        let first = against.min_by_key(|(_, opinion)| opinion.since);
        first.and_then(|(name, opinion)| Some((name, opinion.finding.as_ref()?)))
    }

    /// What happened to it in the last day, the latest last.
    pub fn history(&self, now: Monotonic) -> impl Iterator<Item = (Monotonic, &Occurrence)> {
        self.history.entries(now)
    }
}

#[cfg(test)]
mod tests;
