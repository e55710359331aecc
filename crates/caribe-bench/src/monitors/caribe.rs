//! Caribe's monitors, as the director runs them: the same thread, started by the same function.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caribe_health::probe::http::HttpCheck;
use caribe_health::probe::tcp::TcpCheck;
use caribe_health::probe::{Check, Target};
use caribe_health::{
    Clock, Initial, Limits, MonitorName, MonitorsHandle, News, Presumption, Report, ServerId,
    Settings, Timing, spawn,
};
use caribe_lab::wait::{Deadline, pause};
use caribe_model::{Protocol, ServerKey, ServiceKey};
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

use super::bed::Bed;
use super::servers::Kind;
use crate::processors::pin;
use crate::usage::Used;

/// The running monitors; they end when dropped.
pub(crate) struct Watch {
    handle: MonitorsHandle,
    reports: Receiver<Report>,
    /// Verdicts so far.
    pub(crate) good: usize,
    pub(crate) bad: usize,
    pub(crate) used: Used,
}

impl Watch {
    /// Starts the thread on the director's processor, with nothing to watch.
    pub(crate) fn start(bed: &Bed, limits: Limits) -> Result<Watch> {
        bed.director.run(|| {
            // What is started here inherits both the namespace and the processor.
            pin(0, bed.sides.measured)?;
            Watch::start_here(limits)
        })?
    }

    /// Starts the thread where the caller is.
    pub(crate) fn start_here(limits: Limits) -> Result<Watch> {
        const NAME: &str = "monitors";
        // Those of former monitors may still be on their way out.
        let former = Used::threads(NAME)?;
        let monitors = spawn(Clock::start(), limits, 1);
        let (handle, reports) = monitors.context("cannot start the monitors")?;
        let deadline = Deadline::after(Duration::from_secs(5));
        let used = loop {
            let now = Used::threads(NAME)?;
            if let Some(thread) = now.difference(&former).next() {
                break Used::Thread(thread.clone());
            }
            ensure!(!deadline.passed(), "the monitors have no thread");
            pause(Duration::from_millis(5));
        };
        Ok(Watch {
            handle,
            reports,
            good: 0,
            bad: 0,
            used,
        })
    }

    /// Begins to watch these servers.
    pub(crate) fn add(
        &self,
        kind: Kind,
        targets: impl Iterator<Item = SocketAddr>,
        interval: Duration,
    ) {
        let check = match kind {
            Kind::Tcp => Check::Tcp(TcpCheck::default()),
            Kind::Http => Check::Http(HttpCheck::default()),
        };
        self.add_check(check, targets, interval);
    }

    /// Begins to watch these servers by a check.
    pub(crate) fn add_check(
        &self,
        check: Check,
        targets: impl Iterator<Item = SocketAddr>,
        interval: Duration,
    ) {
        let check = Arc::new(check);
        let name = MonitorName::from(check.kind());
        for target in targets {
            let settings = Settings {
                name: name.clone(),
                check: Arc::clone(&check),
                target: Target::new(target),
                timing: Timing {
                    interval,
                    limit: interval,
                    rise: 1,
                    fall: 1,
                    fast_interval: None,
                    jitter: 0,
                    initial: Initial::Checking,
                },
                advises: false,
            };
            let server = ServerId {
                service: ServiceKey::Address {
                    protocol: Protocol::Tcp,
                    address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
                    port: target.port(),
                },
                server: ServerKey {
                    address: target.ip(),
                    port: target.port(),
                },
            };
            self.handle
                .start(server, Arc::new(settings), Presumption::Unknown);
        }
    }

    /// Takes the verdicts that have come, as the director does.
    pub(crate) fn take_reports(&mut self) -> Result<()> {
        loop {
            match self.reports.try_recv() {
                Ok(report) => match report.news {
                    News::Verdict { passed: true, .. } => self.good += 1,
                    News::Verdict { passed: false, .. } => self.bad += 1,
                    News::Reading(_) => {}
                },
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => anyhow::bail!("the monitors have ended"),
            }
        }
    }

    /// Waits until so many first verdicts have come.
    pub(crate) fn wait_for_verdicts(&mut self, verdicts: usize, limit: Duration) -> Result<()> {
        let deadline = Deadline::after(limit);
        while self.good + self.bad < verdicts {
            let seen = self.good + self.bad;
            ensure!(
                !deadline.passed(),
                "{seen} of {verdicts} verdicts after {limit:?}"
            );
            pause(Duration::from_millis(10));
            self.take_reports()?;
        }
        Ok(())
    }
}
