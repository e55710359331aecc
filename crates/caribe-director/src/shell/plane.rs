//! The data plane's own thread: its calls are synchronous and may take a while.

use std::collections::BTreeSet;
use std::thread;

use caribe_dataplane::xdp::{Options, XdpDataplane};
use caribe_dataplane::{Dataplane, DataplaneError, Snapshot};
use tokio::sync::{mpsc, oneshot};

use super::DirectorError;
use crate::{ConnectionsPage, ConnectionsQuery, Intent};

type Job = Box<dyn FnOnce(&mut Option<XdpDataplane>) + Send>;

/// The way to the thread. Dropping it ends the thread and leaves the data plane forwarding.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    // Unbounded: the core allows one sweep and one sample at a time, the control socket a few
    // snapshots, and everything else is awaited.
    jobs: mpsc::UnboundedSender<Job>,
}

/// A call that could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaneError {
    /// The data plane's own answer.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// It has been taken down.
    #[error("the data plane has been taken down")]
    Gone,
}

impl Plane {
    /// Loads or adopts a data plane on a new thread; also what it held, if it was adopted.
    pub(super) async fn open(
        options: &super::Options,
        intent: &Intent,
    ) -> Result<(Self, Option<Snapshot>), DirectorError> {
        let defaults = Options::default();
        let options = Options {
            pin_directory: options.pin_dir.clone(),
            interfaces: intent.interfaces.iter().cloned().collect(),
            connections: intent.connections.unwrap_or(defaults.connections),
            services: intent.limits.services,
            servers: intent.limits.servers,
            slots: Options::slots_for(intent.limits.services, intent.limits.servers),
            timeouts: intent.timeouts,
            ..defaults
        };
        let (jobs, mut inbox) = mpsc::unbounded_channel::<Job>();
        let (opened, result) = oneshot::channel();
        thread::Builder::new()
            .name("dataplane".to_owned())
            .spawn(move || {
                let opening = XdpDataplane::open(&options).and_then(|plane| {
                    let adopted = plane.adopted().then(|| plane.snapshot()).transpose()?;
                    Ok((plane, adopted))
                });
                let mut plane = match opening {
                    Ok((plane, adopted)) => {
                        // Nobody left to answer to means nobody left to work for: `inbox` is
                        // then closed as well.
                        let _ = opened.send(Ok(adopted));
                        Some(plane)
                    }
                    Err(error) => {
                        let _ = opened.send(Err(error));
                        return;
                    }
                };
                while let Some(job) = inbox.blocking_recv() {
                    job(&mut plane);
                }
            })
            .map_err(|source| DirectorError::System {
                action: "start the thread of the data plane",
                source,
            })?;
        match result.await {
            Ok(Ok(adopted)) => Ok((Plane { jobs }, adopted)),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(DirectorError::Ended(
                "the thread of the data plane broke down at its start".to_owned(),
            )),
        }
    }

    /// Whether the thread has broken down.
    pub(super) fn is_broken(&self) -> bool {
        self.jobs.is_closed()
    }

    /// Makes a call on the thread and waits for its result.
    pub(super) async fn call<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut XdpDataplane) -> Result<R, DataplaneError> + Send + 'static,
    ) -> Result<R, PlaneError> {
        self.job(|plane| match plane {
            Some(plane) => call(plane).map_err(PlaneError::from),
            None => Err(PlaneError::Gone),
        })
        .await
    }

    /// Takes the data plane down, leaving nothing of it.
    pub(super) async fn remove(&self) -> Result<(), PlaneError> {
        self.job(|plane| match plane.take() {
            Some(plane) => plane.remove().map_err(PlaneError::from),
            None => Err(PlaneError::Gone),
        })
        .await
    }

    /// Has the program on exactly these interfaces.
    pub(super) async fn attach(&self, wanted: BTreeSet<String>) -> Result<(), PlaneError> {
        self.call(move |plane| {
            let attached: BTreeSet<String> = plane
                .snapshot()?
                .interfaces
                .into_iter()
                .map(|interface| interface.name)
                .collect();
            let fewer: Vec<String> = attached.difference(&wanted).cloned().collect();
            let mut result = plane.detach(&fewer);
            // One by one: an interface that is missing keeps no other from its program.
            for name in wanted.difference(&attached) {
                result = result.and(plane.attach(std::slice::from_ref(name)));
            }
            result
        })
        .await
    }

    /// A page of connections, read in one go of bounded length.
    pub(super) async fn connections(
        &self,
        query: ConnectionsQuery,
    ) -> Result<ConnectionsPage, PlaneError> {
        let most = query.limit.unwrap_or(ConnectionsQuery::MOST);
        let most = most.clamp(1, ConnectionsQuery::MOST);
        self.call(move |plane| {
            let mut connections = Vec::new();
            let next = plane.connections_from(query.after.unwrap_or(0), &mut |connection| {
                if query.matches(&connection) {
                    connections.push(connection);
                }
                connections.len() < most as usize
            })?;
            Ok(ConnectionsPage { connections, next })
        })
        .await
    }

    async fn job<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Option<XdpDataplane>) -> Result<R, PlaneError> + Send + 'static,
    ) -> Result<R, PlaneError> {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |plane| {
            // A caller that has gone does not want the result.
            let _ = answer.send(job(plane));
        });
        self.jobs.send(job).map_err(|_| PlaneError::Gone)?;
        result.await.unwrap_or(Err(PlaneError::Gone))
    }
}
