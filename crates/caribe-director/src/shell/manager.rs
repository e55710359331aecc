//! The service manager: systemd's notification protocol. Without a manager nothing is sent.

use std::time::Duration;

use caribe_model::Monotonic;
use sd_notify::NotifyState;

use crate::Notification;

/// Tells the service manager.
pub(super) fn notify(notification: &Notification) {
    let sent = match notification {
        Notification::Ready => sd_notify::notify(&[NotifyState::Ready]),
        // Type=notify-reload matches the reload to its request by this time.
        Notification::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
        Notification::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        Notification::Status(line) => sd_notify::notify(&[NotifyState::Status(line)]),
    };
    if let Err(error) = sent {
        tracing::warn!(%error, ?notification, "cannot tell the service manager");
    }
}

/// Keeps systemd's watchdog at rest, from the actor's own loop: an actor that hangs is noticed.
#[derive(Debug)]
pub(super) struct Watchdog {
    interval: Option<Duration>,
    last: Option<Monotonic>,
}

impl Watchdog {
    /// Takes the interval from the environment, if the service manager watches at all.
    pub(super) fn from_environment() -> Self {
        Watchdog {
            // Half of it, as sd_watchdog_enabled(3) advises.
            interval: sd_notify::watchdog_enabled().map(|interval| interval / 2),
            last: None,
        }
    }

    /// To be called often.
    pub(super) fn rest(&mut self, now: Monotonic) {
        let Some(interval) = self.interval else {
            return;
        };
        if self.last.is_some_and(|last| now.since(last) < interval) {
            return;
        }
        self.last = Some(now);
        if let Err(error) = sd_notify::notify(&[NotifyState::Watchdog]) {
            tracing::warn!(%error, "cannot tell the service manager's watchdog");
        }
    }
}
