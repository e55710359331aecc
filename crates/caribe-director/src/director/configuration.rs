//! A configuration comes into force, or does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caribe_config::config::Config;
use caribe_health::{MonitorId, ServerHealth, ServerId};
use caribe_model::{Family, Monotonic, ServiceKey};

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
        let intent = match Intent::after(self.intent.as_ref(), config, &self.setup.interfaces) {
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
        let changed = match &before {
            Some(before) => intent.changes(before),
            None => intent.services.iter().map(|wanted| wanted.key).collect(),
        };
        let stale = self.stale_after(&changed, before.as_ref(), &intent);
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
        self.renew_monitors(&changed, &intent, now, effects);
        self.intent = Some(intent);
        self.stale.join(stale);
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

    /// What of the table has to be derived anew when a configuration takes the place of another.
    fn stale_after(
        &self,
        changed: &BTreeSet<ServiceKey>,
        before: Option<&Intent>,
        intent: &Intent,
    ) -> Stale {
        // What was changed by hand may be about any service, and be dropped.
        match before {
            Some(before) if self.overrides.is_empty() && before.marks == intent.marks => {
                Stale::Services(changed.clone())
            }
            _ => Stale::Everything,
        }
    }

    /// Starts, stops and retunes the monitors of the services that changed.
    fn renew_monitors(
        &mut self,
        changed: &BTreeSet<ServiceKey>,
        intent: &Intent,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) {
        let wanted: BTreeMap<ServerId, &WantedServer> = changed
            .iter()
            .filter_map(|key| intent.service(key))
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
        let known = changed
            .iter()
            .flat_map(|service| self.servers.of_service(*service).copied());
        let gone: Vec<ServerId> = known.filter(|id| !wanted.contains_key(id)).collect();
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
            let configured = self.servers.change(&id, |watched| {
                let changes = MonitorChanges::between(id, &watched.monitors, monitors);
                watched.monitors.clone_from(monitors);
                watched.health.configure(rules, monitors, now);
                let started = changes.started.into_iter();
                let started = started.map(|settings| {
                    let presumption = watched.health.presumption(&settings);
                    Effect::StartMonitor(id, settings, presumption)
                });
                let stopped = changes.stopped.into_iter().map(Effect::StopMonitor);
                let retuned = changes.retuned.into_iter();
                let retuned = retuned.map(|settings| Effect::RetuneMonitor(id, settings));
                effects.extend(stopped.chain(started).chain(retuned));
            });
            if configured.is_none() {
                let adopted = self.adopted_weights.remove(&id);
                let health = ServerHealth::new(rules, monitors, adopted, now);
                effects.push(Effect::Log(Notice::MonitorStarted(id)));
                effects.extend(monitors.iter().map(|settings| {
                    let presumption = health.presumption(settings);
                    Effect::StartMonitor(id, Arc::clone(settings), presumption)
                }));
                let monitors = monitors.clone();
                self.servers.insert(id, Watched { monitors, health });
            }
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
    for service in before.iter().flat_map(|before| &before.services) {
        if intent.service(&service.key).is_none() {
            effects.push(Effect::Log(Notice::ServiceStopped {
                name: service.name.clone(),
                key: service.key,
            }));
        }
    }
    for service in &intent.services {
        if before.is_none_or(|before| before.service(&service.key).is_none()) {
            effects.push(Effect::Log(Notice::ServiceStarted {
                name: service.name.clone(),
                key: service.key,
            }));
        }
    }
}
