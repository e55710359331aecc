//! The one task that probes every server.

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::connect::connect;
use crate::monitors::Ticket;
use crate::{
    Clock, Limits, MonitorId, Monitors, MonitorsEffect, MonitorsEvent, Presumption, ProbeFailure,
    Settings, Verdict,
};

/// A verdict about one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which server of which service.
    pub id: MonitorId,
    /// What was found.
    pub verdict: Verdict,
}

/// The way to the task. Dropping it ends the task and closes every probe's socket.
#[derive(Debug)]
pub struct MonitorsHandle {
    // Unbounded, so that the director never waits for a task that may be waiting for the
    // director: it holds at most a configuration's worth of commands.
    commands: mpsc::UnboundedSender<MonitorsEvent>,
}

impl MonitorsHandle {
    /// Begins to watch a server.
    pub fn start(&self, id: MonitorId, settings: Settings, presumption: Presumption) {
        self.send(MonitorsEvent::Start(id, settings, presumption));
    }

    /// Changes how a server is watched; what is known about it stays.
    pub fn retune(&self, id: MonitorId, settings: Settings) {
        self.send(MonitorsEvent::Retune(id, settings));
    }

    /// Stops watching a server. A report that is already under way may still arrive.
    pub fn stop(&self, id: MonitorId) {
        self.send(MonitorsEvent::Stop(id));
    }

    fn send(&self, command: MonitorsEvent) {
        if self.commands.send(command).is_err() {
            // The task ends only with this handle or with the receiver of its reports.
            tracing::error!("monitors have ended: real servers are not watched any more");
        }
    }
}

/// Starts the task on the current tokio runtime. Reports come in the order of the verdicts.
pub fn spawn(clock: Clock, limits: Limits, seed: u64) -> (MonitorsHandle, mpsc::Receiver<Report>) {
    let (commands, inbox) = mpsc::unbounded_channel();
    let (outbox, reports) = mpsc::channel(256);
    tokio::spawn(run(clock, Monitors::new(limits, seed), inbox, outbox));
    (MonitorsHandle { commands }, reports)
}

async fn run(
    clock: Clock,
    mut monitors: Monitors,
    mut inbox: mpsc::UnboundedReceiver<MonitorsEvent>,
    outbox: mpsc::Sender<Report>,
) {
    let mut probes: JoinSet<(Ticket, Result<(), ProbeFailure>)> = JoinSet::new();
    loop {
        let wake = monitors.next_wake().map(|moment| clock.instant(moment));
        let event = tokio::select! {
            command = inbox.recv() => match command {
                Some(command) => command,
                None => return,
            },
            Some(ended) = probes.join_next() => match ended {
                Ok((ticket, result)) => MonitorsEvent::Probed(ticket, result),
                Err(error) => {
                    // Probes are never cancelled one by one, so this is a panic in a probe.
                    tracing::error!(%error, "a probe broke down: its server is not watched any more");
                    continue;
                }
            },
            () = sleep_until(wake.unwrap_or_else(|| clock.instant(clock.now()))), if wake.is_some() => {
                MonitorsEvent::Woke
            }
        };
        for effect in monitors.handle(event, clock.now()) {
            match effect {
                MonitorsEffect::Probe {
                    ticket,
                    target,
                    limit,
                } => {
                    probes.spawn(async move { (ticket, connect(target, limit).await) });
                }
                MonitorsEffect::Verdict(id, verdict) => {
                    if outbox.send(Report { id, verdict }).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
