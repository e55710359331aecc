//! The one thread that probes every server.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use caribe_model::NextHop;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use crate::monitors::Ticket;
use crate::path::Ways;
use crate::probe::{Code, Finding, Text};
use crate::probers::Probers;
use crate::{
    Clock, Limits, MonitorId, Monitors, MonitorsEffect, MonitorsEvent, Presumption, Report,
    ServerId, Settings,
};

/// The way to the thread. Dropping it ends the thread and closes every probe's socket.
#[derive(Debug)]
pub struct MonitorsHandle {
    // Unbounded, so that the director never waits for a thread that may be waiting for the
    // director: it holds at most a configuration's worth of commands.
    commands: mpsc::UnboundedSender<Command>,
    ways: watch::Sender<Ways>,
}

#[derive(Debug)]
enum Command {
    Event(MonitorsEvent),
    /// Files that checks are made of may have changed.
    Reread,
    /// Asks for what each monitor found last.
    Latest(oneshot::Sender<Vec<(MonitorId, Finding)>>),
}

impl MonitorsHandle {
    /// Begins to watch a server.
    pub fn start(&self, server: ServerId, settings: Arc<Settings>, presumption: Presumption) {
        self.send(Command::Event(MonitorsEvent::Start(
            server,
            settings,
            presumption,
        )));
    }

    /// Changes how a server is watched; what is known about it stays.
    pub fn retune(&self, server: ServerId, settings: Arc<Settings>) {
        self.send(Command::Event(MonitorsEvent::Retune(server, settings)));
    }

    /// Stops watching a server. A report that is already under way may still arrive.
    pub fn stop(&self, id: MonitorId) {
        self.send(Command::Event(MonitorsEvent::Stop(id)));
    }

    /// Tells the way to a server, for checks through its VIP; `None` when there is none.
    pub fn way(&self, server: IpAddr, hop: Option<NextHop>) {
        self.ways.send_modify(|ways| match hop {
            Some(hop) => drop(ways.insert(server, hop)),
            None => drop(ways.remove(&server)),
        });
    }

    /// Reads the files of checks anew, such as certificates, before they are used next.
    pub fn reread(&self) {
        self.send(Command::Reread);
    }

    /// What each monitor found last, in the order of their identities; those that have not
    /// probed yet are left out. Empty when the thread has ended.
    pub async fn latest(&self) -> Vec<(MonitorId, Finding)> {
        let (sender, receiver) = oneshot::channel();
        self.send(Command::Latest(sender));
        receiver.await.unwrap_or_default()
    }

    fn send(&self, command: Command) {
        if self.commands.send(command).is_err() {
            // The thread ends only with this handle or with the receiver of its reports.
            tracing::error!("monitors have ended: real servers are not watched any more");
        }
    }
}

/// Starts the thread, in the network namespace of the calling one. Reports come in the order of
/// the verdicts.
///
/// # Errors
///
/// The thread or its event loop could not be had.
pub fn spawn(
    clock: Clock,
    limits: Limits,
    seed: u64,
) -> io::Result<(MonitorsHandle, mpsc::Receiver<Report>)> {
    let (commands, inbox) = mpsc::unbounded_channel();
    let (outbox, reports) = mpsc::channel(65_536);
    let (ways, known_ways) = watch::channel(Ways::new());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("monitors".to_owned())
        .spawn(move || {
            let monitors = Monitors::new(limits, seed);
            let probers = Probers::new(clock, known_ways);
            // Probes never leave this thread, so they need not be able to.
            let probes = tokio::task::LocalSet::new();
            runtime.block_on(probes.run_until(run(clock, monitors, probers, inbox, outbox)));
            drop(probes);
            // Look-ups of names may hang in threads of their own; nobody waits for them.
            runtime.shutdown_background();
        })?;
    Ok((MonitorsHandle { commands, ways }, reports))
}

async fn run(
    clock: Clock,
    mut monitors: Monitors,
    mut probers: Probers,
    mut inbox: mpsc::UnboundedReceiver<Command>,
    outbox: mpsc::Sender<Report>,
) {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let mut effects = Vec::new();
    loop {
        let wake = monitors.next_wake().map(|moment| clock.instant(moment));
        let event = tokio::select! {
            command = inbox.recv() => match command {
                Some(Command::Event(event)) => event,
                Some(Command::Reread) => {
                    probers.reread();
                    continue;
                }
                Some(Command::Latest(answer)) => {
                    let latest = monitors.latest();
                    let latest = latest.map(|(id, finding)| (id.clone(), finding.clone()));
                    // Who has hung up meanwhile does not want the answer.
                    drop(answer.send(latest.collect()));
                    continue;
                }
                None => return,
            },
            Some((ticket, finding)) = ends.recv() => MonitorsEvent::Probed(ticket, finding),
            () = sleep_until(wake.unwrap_or_else(|| clock.instant(clock.now()))), if wake.is_some() => {
                MonitorsEvent::Woke
            }
        };
        monitors.handle(event, clock.now(), &mut effects);
        // Many probes end at a time: their ends are taken together.
        while let Ok((ticket, finding)) = ends.try_recv() {
            let event = MonitorsEvent::Probed(ticket, finding);
            monitors.handle(event, clock.now(), &mut effects);
        }
        for effect in effects.drain(..) {
            match effect {
                MonitorsEffect::Probe(ticket, settings) => {
                    let end = End {
                        ticket,
                        finding: None,
                        ended: ended.clone(),
                    };
                    tokio::task::spawn_local(finish(probers.probe(settings), end));
                }
                MonitorsEffect::Report(report) => {
                    if outbox.send(report).await.is_err() {
                        return;
                    }
                }
                MonitorsEffect::Blind(id, finding) => tracing::warn!(
                    server = %id.server.server,
                    service = %id.server.service,
                    monitor = %id.name,
                    reason = %finding,
                    "cannot check a real server; what is known about it stays"
                ),
            }
        }
    }
}

async fn finish(probe: impl Future<Output = Finding>, mut end: End) {
    end.finding = Some(probe.await);
}

/// Reports the end of a probe when it is dropped, so that a probe that breaks down ends too.
struct End {
    ticket: Ticket,
    finding: Option<Finding>,
    ended: mpsc::UnboundedSender<(Ticket, Finding)>,
}

impl Drop for End {
    fn drop(&mut self) {
        let finding = self.finding.take().unwrap_or_else(|| Finding {
            code: Code::Local,
            text: Text::new("the probe broke down: this is a defect of Caribe"),
            latency: Duration::ZERO,
            reading: None,
        });
        // Nobody listens any more when the thread ends.
        drop(self.ended.send((self.ticket, finding)));
    }
}

#[cfg(test)]
mod tests;
