//! The shell around [`Watch`](crate::watch::Watch): it carries changes in and next hops out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use caribe_model::NextHop;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::watch::{Effect, Event, Watch};
use crate::{Changes, Network, Way};

/// Keeps the next hops of a set of addresses warm and tells of each change.
///
/// It looks again when links, addresses, routes or neighbours change, and every few seconds
/// makes the kernel confirm neighbours that went stale: the packet path does not do that, since
/// its packets never pass the neighbour table.
#[derive(Debug)]
pub struct Watcher {
    network: Network,
    wanted: watch::Receiver<BTreeSet<IpAddr>>,
    told: mpsc::Sender<(IpAddr, Option<NextHop>)>,
    watch: Watch,
}

/// Says which addresses a [`Watcher`] watches. The watcher ends when this is dropped.
#[derive(Debug)]
pub struct WatchHandle {
    wanted: watch::Sender<BTreeSet<IpAddr>>,
}

impl WatchHandle {
    /// Replaces the set of watched addresses.
    ///
    /// An address starts out as unreachable (`None`) and is told as soon as it is resolved. One
    /// that leaves the set is not told of again.
    pub fn watch(&self, addresses: BTreeSet<IpAddr>) {
        self.wanted.send_if_modified(|wanted| {
            let changed = *wanted != addresses;
            *wanted = addresses;
            changed
        });
    }
}

impl Watcher {
    /// Starts a watcher on the current tokio runtime. The receiver gets an address with its new
    /// next hop, only when that differs from what was told before; it must be read.
    pub fn spawn(
        network: Network,
        changes: Changes,
    ) -> (WatchHandle, mpsc::Receiver<(IpAddr, Option<NextHop>)>) {
        let (wanted_sender, wanted) = watch::channel(BTreeSet::new());
        let (told, told_receiver) = mpsc::channel(256);
        let watcher = Watcher {
            network,
            wanted,
            told,
            watch: Watch::default(),
        };
        tokio::spawn(watcher.run(changes));
        let handle = WatchHandle {
            wanted: wanted_sender,
        };
        (handle, told_receiver)
    }

    async fn run(mut self, mut changes: Changes) {
        loop {
            let due = self.watch.due();
            let event = tokio::select! {
                changed = self.wanted.changed() => match changed {
                    Ok(()) => Event::Wanted(self.wanted.borrow_and_update().clone()),
                    Err(_) => return,
                },
                change = changes.next() => match change {
                    Some(change) => Event::Changed(change),
                    None => {
                        tracing::error!(
                            "the netlink connection has ended: next hops are no longer watched"
                        );
                        return;
                    }
                },
                () = sleep_until(due) => Event::Due,
            };
            if !self.handle(event).await {
                return;
            }
        }
    }

    /// Runs an event and everything that follows from it; `false` when nobody listens any more.
    async fn handle(&mut self, event: Event) -> bool {
        let mut effects = self.watch.handle(event, now());
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Look(address) => match self.network.way(address).await {
                    Ok(way) => {
                        let seen = Event::Seen(address, way.clone());
                        let follows = self.watch.handle(seen, now());
                        if !follows.is_empty() {
                            log(address, &way);
                        }
                        effects.extend(follows);
                    }
                    Err(error) => {
                        tracing::warn!(%address, %error, "cannot look up the way to a server");
                    }
                },
                Effect::Tell(address, next_hop) => {
                    if self.told.send((address, next_hop)).await.is_err() {
                        return false;
                    }
                }
            }
        }
        true
    }
}

/// A change that is told to the listener, for the operator.
fn log(address: IpAddr, way: &Way) {
    match way {
        Way::Resolved { next_hop, .. } => tracing::info!(
            %address,
            interface = next_hop.interface,
            mac = %next_hop.destination_mac,
            mtu = next_hop.mtu,
            "the way to a server is known"
        ),
        Way::Pending { neighbour, .. } => tracing::warn!(
            %address,
            %neighbour,
            "the way to a server is lost: the neighbour does not answer"
        ),
        Way::None(reason) => {
            tracing::warn!(%address, %reason, "the way to a server is lost");
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

async fn sleep_until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
