//! A configuration comes into force, or does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caribe_config::config::Config;
use caribe_health::{MonitorId, ServerHealth, ServerId};
use caribe_model::{Family, Monotonic};

use super::desired::Stale;
use super::servers::MonitorChanges;
use super::{Director, RETRY, Taken, Watched};
use crate::{Effect, Intent, KernelForwarding, Notice, Notification, Phase, WantedServer};

impl Director {
    pub(super) fn begin_reload(&mut self, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Running {
            // The reload that is under way may have read the file before the last change.
            self.reload_again = true;
            return;
        }
        self.phase = Phase::Reloading;
        self.reading = true;
        effects.push(Effect::Log(Notice::Rereading));
        effects.push(Effect::Notify(Notification::Reloading));
        effects.push(Effect::ReadConfig);
    }

    pub(super) fn load(
        &mut self,
        config: &Config,
        warnings: Vec<String>,
        forwarding: KernelForwarding,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) {
        let intent = match Intent::new(config, &self.setup.interfaces) {
            Ok(intent) => intent,
            Err(error) => {
                let mut diagnostics = warnings;
                diagnostics.push(format!("error: {error}"));
                return self.refuse(diagnostics, effects);
            }
        };
        self.reading = false;
        self.refused.clear();
        self.loaded = now;
        effects.extend(warnings.into_iter().map(|text| {
            Effect::Log(Notice::Diagnostic {
                text,
                refused: false,
            })
        }));
        let before = self.intent.take();
        warn_of_forwarding(&intent, before.as_ref(), forwarding, effects);
        note_services(&intent, before.as_ref(), effects);
        self.renew_draining(before.as_ref(), &intent, now, effects);
        let timeouts = before.as_ref().map(|before| self.timeouts(before));
        self.settle_overrides(&intent, effects);
        if timeouts != Some(self.timeouts(&intent)) {
            effects.push(Effect::SetTimeouts(self.timeouts(&intent)));
        }
        if before.as_ref().map(|before| before.tuning) != Some(intent.tuning) {
            effects.push(Effect::SetTuning(intent.tuning));
        }
        // At every load: the group may have been made, or its number changed, meanwhile.
        let group = |intent: &Intent| intent.control_group.clone();
        if group(&intent).is_some()
            || before
                .as_ref()
                .is_some_and(|before| group(before).is_some())
        {
            effects.push(Effect::ShareControl(group(&intent)));
        }
        let sizes = |intent: &Intent| (intent.connections, intent.limits);
        if before
            .as_ref()
            .is_some_and(|before| sizes(before) != sizes(&intent))
        {
            effects.push(Effect::Log(Notice::LimitsNeedRestart));
        }
        if self.setup.attached != intent.interfaces {
            self.setup.attached.clone_from(&intent.interfaces);
            self.unseen.clear();
            effects.push(Effect::Attach(intent.interfaces.clone()));
        }
        self.renew_monitors(&intent, now, effects);
        self.intent = Some(intent);
        self.stale = Stale::Everything;
        self.reconcile(effects);
        // After the table, so that a server that leaves keeps its way until it has left.
        self.renew_watch_of_servers(effects);
        if self.taken == Taken::Yes {
            // The table is as it was; the addresses need not be.
            let wanted = self.intent.iter().flat_map(|intent| &intent.addresses);
            self.addresses.reconcile(wanted, effects);
        }
    }

    pub(super) fn refuse(&mut self, diagnostics: Vec<String>, effects: &mut Vec<Effect>) {
        self.reading = false;
        effects.extend(diagnostics.iter().map(|text| {
            Effect::Log(Notice::Diagnostic {
                text: text.clone(),
                refused: true,
            })
        }));
        effects.push(Effect::Log(Notice::Refused));
        if self.intent.is_none() {
            let reason = format!(
                "cannot start: {} has errors; `caribe check` shows them",
                self.setup.file
            );
            self.fail(reason, effects);
        }
        self.refused = diagnostics;
    }

    pub(super) fn attached(
        &mut self,
        problem: Option<String>,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) {
        let known = self.detached.take().map(|(problem, _)| problem);
        if let Some(problem) = problem {
            if known.as_ref() != Some(&problem) {
                effects.push(Effect::Log(Notice::Trouble(problem.clone())));
            }
            self.detached = Some((problem, now + RETRY));
        }
    }

    fn renew_monitors(&mut self, intent: &Intent, now: Monotonic, effects: &mut Vec<Effect>) {
        let wanted: BTreeMap<ServerId, &WantedServer> = intent
            .services
            .iter()
            .flat_map(|service| {
                service.active_servers().map(|server| {
                    let id = ServerId {
                        service: service.key,
                        server: server.server.key,
                    };
                    (id, server)
                })
            })
            .collect();
        let gone = self.servers.keys().filter(|id| !wanted.contains_key(id));
        let gone: Vec<ServerId> = gone.copied().collect();
        for id in gone {
            let watched = self.servers.remove(&id);
            let monitors = watched.map(|watched| watched.monitors).unwrap_or_default();
            effects.extend(monitors.iter().map(|settings| {
                Effect::StopMonitor(MonitorId {
                    server: id,
                    name: settings.name.clone(),
                })
            }));
        }
        for (id, server) in wanted {
            let (rules, monitors) = (server.rules, &server.monitors);
            let Some(watched) = self.servers.get_mut(&id) else {
                let adopted = self.adopted_weights.remove(&id);
                let health = ServerHealth::new(rules, monitors, adopted, now);
                effects.push(Effect::Log(Notice::MonitorStarted(id)));
                effects.extend(monitors.iter().map(|settings| {
                    let presumption = health.presumption(settings);
                    Effect::StartMonitor(id, Arc::clone(settings), presumption)
                }));
                let monitors = monitors.clone();
                self.servers.insert(id, Watched { monitors, health });
                continue;
            };
            let changes = MonitorChanges::between(id, &watched.monitors, monitors);
            watched.monitors.clone_from(monitors);
            watched.health.configure(rules, monitors, now);
            let health = &watched.health;
            effects.extend(changes.stopped.into_iter().map(Effect::StopMonitor));
            effects.extend(changes.started.into_iter().map(|settings| {
                let presumption = health.presumption(&settings);
                Effect::StartMonitor(id, settings, presumption)
            }));
            let retuned = changes.retuned.into_iter();
            effects.extend(retuned.map(|settings| Effect::RetuneMonitor(id, settings)));
        }
        // What was adopted counts for the first configuration only.
        self.adopted_weights.clear();
    }
}

fn warn_of_forwarding(
    intent: &Intent,
    before: Option<&Intent>,
    forwarding: KernelForwarding,
    effects: &mut Vec<Effect>,
) {
    for (family, forwards) in [(Family::V4, forwarding.v4), (Family::V6, forwarding.v6)] {
        let known = before.is_some_and(|before| before.uses_nat(family));
        if forwards == Some(false) && intent.uses_nat(family) && !known {
            effects.push(Effect::Log(Notice::ForwardingOff(family)));
        }
    }
}

fn note_services(intent: &Intent, before: Option<&Intent>, effects: &mut Vec<Effect>) {
    let keys = |intent: &Intent| -> BTreeSet<_> {
        intent.services.iter().map(|service| service.key).collect()
    };
    let old = before.map(keys).unwrap_or_default();
    let new = keys(intent);
    for service in before.iter().flat_map(|before| &before.services) {
        if !new.contains(&service.key) {
            effects.push(Effect::Log(Notice::ServiceStopped {
                name: service.name.clone(),
                key: service.key,
            }));
        }
    }
    for service in &intent.services {
        if !old.contains(&service.key) {
            effects.push(Effect::Log(Notice::ServiceStarted {
                name: service.name.clone(),
                key: service.key,
            }));
        }
    }
}
