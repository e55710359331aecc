//! The loop: events to the core, effects to the world.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use caribe_config::{Reader, Source};
use caribe_dataplane::{Dataplane, Snapshot};
use caribe_health::{Clock, Limits, MonitorsHandle, News, Report};
use caribe_model::NextHop;
use caribe_network::{FloatingSpec, Network, NetworkError, WatchHandle, Watcher, Way};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::chronicle::Chronicle;
use super::control::{Control, Query};
use super::explaining::Explaining;
use super::loading::{Loaded, load};
use super::manager::{Watchdog, notify};
use super::memory::{recall, remember};
use super::notifier::Notifier;
use super::plane::Plane;
use super::runtime_dir::RuntimeDir;
use super::saving::save_now;
use super::{DirectorError, Options, journal, order_book};
use crate::{Change, ChangeRefusal, Director, Effect, Ending, Event, Intent, Setup};

/// Time between two [`Event::Tick`]s.
const TICK: Duration = Duration::from_millis(500);

/// The most verdicts that are put into one table.
const BURST: usize = 1024;

/// Operators' orders, in the directory of what outlives a reboot.
const ORDER_BOOK: &str = "orders.json";

pub(super) struct Actor {
    director: Director,
    clock: Clock,
    config: PathBuf,
    /// The configuration as it was last read and found legal.
    read: watch::Sender<Source>,
    /// What is known of it, so that a reload reads what has changed.
    reader: Arc<Mutex<Reader>>,
    memory: PathBuf,
    order_book: PathBuf,
    chronicle: Chronicle,
    notifier: Notifier,
    plane: Plane,
    explaining: Explaining,
    network: Network,
    watch: WatchHandle,
    monitors: MonitorsHandle,
    watchdog: Watchdog,
    /// Ends of effects that were run here: handled before anything from outside.
    ended: VecDeque<Event>,
    /// Ends of effects that run beside the actor.
    later: mpsc::UnboundedSender<Event>,
    sources: Sources,
    /// The socket's file goes with it; dropped before the lock.
    control: Control,
    /// Held for its drop.
    _directory: RuntimeDir,
}

/// Where events come from.
struct Sources {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    later: mpsc::UnboundedReceiver<Event>,
    reports: mpsc::Receiver<Report>,
    hops: mpsc::Receiver<(IpAddr, Option<NextHop>)>,
    queries: mpsc::Receiver<Query>,
    tick: Interval,
}

enum Incoming {
    Event(Event),
    Query(Query),
}

impl Actor {
    /// Reads the configuration, opens the data plane and everything else that can fail, in the
    /// order in which a failure leaves the least behind.
    pub(super) async fn start(
        options: Options,
        directory: RuntimeDir,
    ) -> Result<Self, DirectorError> {
        let clock = Clock::start();
        let refused = |diagnostics: Vec<String>| DirectorError::Config {
            path: options.config.clone(),
            diagnostics: diagnostics.join("\n"),
        };
        let reader = Arc::new(Mutex::new(Reader::default()));
        let (config, warnings, source) =
            match load(options.config.clone(), Arc::clone(&reader)).await {
                Loaded::Usable {
                    config,
                    warnings,
                    source,
                } => (config, warnings, source),
                Loaded::Refused { diagnostics } => return Err(refused(diagnostics)),
            };
        let intent = Intent::new(&config, &options.interfaces)
            .map_err(|error| refused(vec![format!("error: {error}")]))?;
        let remembered = recall(&directory.memory()).unwrap_or_else(|error| {
            tracing::error!(
                file = %directory.memory().display(),
                %error,
                "cannot tell which addresses an earlier director put up: remove the file, and \
                 addresses that should not be there"
            );
            Vec::new()
        });
        let order_book = options.state_dir.join(ORDER_BOOK);
        let orders = order_book::read(&order_book).map_err(|error| DirectorError::Orders {
            path: order_book.clone(),
            reason: error.to_string(),
        })?;
        let signals = |kind: SignalKind| {
            signal(kind).map_err(|source| DirectorError::System {
                action: "handle signals",
                source,
            })
        };
        let (terminate, interrupt) = (
            signals(SignalKind::terminate())?,
            signals(SignalKind::interrupt())?,
        );
        let hangup = signals(SignalKind::hangup())?;
        let (control, queries) = Control::listen(directory.control())?;
        let (network, changes) = Network::connect()?;
        let (plane, adopted) = Plane::open(&options, &intent).await?;

        let (watch, hops) = Watcher::spawn(network.clone(), changes);
        let (monitors, reports) =
            caribe_health::spawn(clock, limits(), u64::from(std::process::id())).map_err(
                |source| DirectorError::System {
                    action: "start the thread of the monitors",
                    source,
                },
            )?;
        let (later, later_events) = mpsc::unbounded_channel();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let setup = Setup {
            file: options.config.display().to_string(),
            interfaces: options.interfaces,
            keep_dataplane: options.keep_dataplane,
            adopted,
            attached: intent.interfaces,
            remembered,
            orders,
        };
        let read = watch::Sender::new(source.clone());
        let loaded = Event::from(Loaded::Usable {
            config,
            warnings,
            source,
        });
        Ok(Actor {
            director: Director::new(setup, clock.now()),
            clock,
            config: options.config,
            read,
            reader,
            memory: directory.memory(),
            order_book,
            chronicle: Chronicle::new(),
            notifier: Notifier::start(),
            plane,
            explaining: Explaining::default(),
            network,
            watch,
            monitors,
            watchdog: Watchdog::from_environment(),
            ended: VecDeque::from([loaded]),
            later,
            sources: Sources {
                terminate,
                interrupt,
                hangup,
                later: later_events,
                reports,
                hops,
                queries,
                tick,
            },
            control,
            _directory: directory,
        })
    }

    /// Runs until the director ends.
    pub(super) async fn run(mut self) -> Result<(), DirectorError> {
        loop {
            let incoming = match self.ended.pop_front() {
                Some(event) => Incoming::Event(event),
                None => self.sources.next().await,
            };
            let event = match incoming {
                Incoming::Event(event) => event,
                Incoming::Query(query) => {
                    self.answer(query).await;
                    continue;
                }
            };
            if matches!(event, Event::Tick) {
                self.watchdog.rest(self.clock.now());
                self.check_companions()?;
            }
            let burst = matches!(event, Event::Report(_));
            let mut events = vec![event];
            while burst && events.len() < BURST {
                let Ok(report) = self.sources.reports.try_recv() else {
                    break;
                };
                events.push(Event::Report(report));
            }
            self.put_ways_first(&mut events).await;
            for effect in self.director.handle_all(events, self.clock.now()) {
                if let Effect::End(ending) = effect {
                    return match ending {
                        Ending::Clean => Ok(()),
                        Ending::Failed(reason) => Err(DirectorError::Ended(reason)),
                    };
                }
                if let Some(event) = self.run_effect(effect).await {
                    self.ended.push_back(event);
                }
            }
        }
    }

    /// Finds the ways to servers that have just passed a check, where they are not known yet. The
    /// kernel knows them by then, but the watcher may tell later than the monitor, and what clients
    /// send in between would be dropped.
    async fn put_ways_first(&self, events: &mut Vec<Event>) {
        let mut found = BTreeMap::new();
        for event in events.iter() {
            let Event::Report(Report {
                id,
                news: News::Verdict { passed: true, .. },
            }) = event
            else {
                continue;
            };
            let address = id.server.server.address;
            if !self.director.lacks_way(address) || found.contains_key(&address) {
                continue;
            }
            match self.network.way(address).await {
                Ok(Way::Resolved { next_hop, .. }) => {
                    found.insert(address, next_hop);
                }
                // The watcher tells once there is one.
                Ok(Way::Pending { .. } | Way::None(_)) => {}
                Err(error) => {
                    tracing::warn!(%address, %error, "cannot look up the way to a server");
                }
            }
        }
        let ways = found.into_iter();
        let ways = ways.map(|(address, hop)| Event::NextHop(address, Some(hop)));
        events.splice(0..0, ways);
    }

    /// Ends the director when a task or thread that it relies on has gone: without verdicts or
    /// next hops it would go on with what it last knew. The next start adopts the data plane.
    fn check_companions(&self) -> Result<(), DirectorError> {
        let gone = [
            (self.plane.is_broken(), "the thread of the data plane"),
            (
                self.sources.reports.is_closed(),
                "the thread of the monitors",
            ),
            (
                self.sources.hops.is_closed(),
                "the task that watches next hops",
            ),
        ];
        match gone.into_iter().find(|(gone, _)| *gone) {
            Some((_, what)) => Err(DirectorError::Ended(format!(
                "{what} has ended: start the director again, it will adopt the data plane"
            ))),
            None => Ok(()),
        }
    }

    /// Runs one effect; the event is its end, if that matters.
    async fn run_effect(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Log(notice) => journal::write(&notice),
            Effect::Notify(notification) => notify(&notification),
            Effect::ReadConfig => {
                // Certificates may have changed with the file, or without it.
                self.monitors.reread();
                let (path, later) = (self.config.clone(), self.later.clone());
                let (read, reader) = (self.read.clone(), Arc::clone(&self.reader));
                tokio::spawn(async move {
                    let loaded = load(path, reader).await;
                    if let Loaded::Usable { source, .. } = &loaded {
                        read.send_replace(source.clone());
                    }
                    tell(&later, loaded.into());
                });
            }
            Effect::Apply(table) => {
                let applied = self.plane.call(move |plane| plane.apply(&table)).await;
                return Some(Event::Applied(applied.map_err(words)));
            }
            Effect::SetTimeouts(timeouts) => {
                let set = self
                    .plane
                    .call(move |plane| plane.set_timeouts(timeouts))
                    .await;
                return set.err().map(|error| Event::TimeoutsRefused(words(error)));
            }
            Effect::SetTuning(tuning) => {
                let set = self.plane.call(move |plane| plane.set_tuning(tuning)).await;
                return set.err().map(|error| Event::TuningRefused(words(error)));
            }
            Effect::SetNextHop(address, hop) => {
                self.monitors.way(address, hop);
                let set = self
                    .plane
                    .call(move |plane| plane.set_next_hop(address, hop))
                    .await;
                return set
                    .err()
                    .map(|error| Event::NextHopRefused(address, words(error)));
            }
            Effect::Attach(interfaces) => {
                let attached = self.plane.attach(interfaces).await;
                return Some(Event::Attached(attached.map_err(words)));
            }
            Effect::Sweep => {
                let (plane, later) = (self.plane.clone(), self.later.clone());
                tokio::spawn(async move {
                    let swept = plane.call(|plane| plane.sweep()).await;
                    tell(&later, Event::Swept(swept.map_err(words)));
                });
            }
            Effect::Sample => {
                let (plane, later) = (self.plane.clone(), self.later.clone());
                tokio::spawn(async move {
                    let sample = plane.call(|plane| plane.snapshot()).await;
                    tell(&later, Event::Sampled(sample.map(Box::new).map_err(words)));
                });
            }
            Effect::RemoveDataplane => {
                let removed = self.plane.remove().await;
                return Some(Event::DataplaneRemoved(removed.map_err(words)));
            }
            Effect::Watch(addresses) => self.watch.watch(addresses),
            Effect::StartMonitor(id, settings, presumption) => {
                self.monitors.start(id, settings, presumption);
            }
            Effect::RetuneMonitor(id, settings) => self.monitors.retune(id, settings),
            Effect::StopMonitor(id) => self.monitors.stop(id),
            Effect::Remember(addresses) => {
                let path = self.memory.display();
                return remember(&self.memory, &addresses).err().map(|error| {
                    Event::NotRemembered(format!(
                        "cannot write {path}: {error}; if this director is killed, its addresses \
                         will not be taken off"
                    ))
                });
            }
            Effect::KeepOrders(orders) => {
                let path = self.order_book.display();
                return order_book::write(&self.order_book, orders)
                    .err()
                    .map(|error| {
                        Event::OrdersNotKept(format!(
                            "cannot write {path}: {error}; the orders that stand will be lost when \
                         this director ends"
                        ))
                    });
            }
            Effect::ShareControl(group) => {
                let shared = self.control.share(group).await;
                return shared.err().map(Event::ControlNotShared);
            }
            Effect::Tell(happening, program) => {
                if let Some(program) = program {
                    self.notifier.notify(program, &happening);
                }
                let at = since_1970().as_millis();
                self.chronicle
                    .note(*happening, u64::try_from(at).unwrap_or(u64::MAX));
            }
            Effect::AddAddress(floating) => {
                let added = self.network.add_address(&spec(&floating)).await;
                return Some(Event::AddressAdded(floating, added.map_err(words)));
            }
            Effect::RemoveAddress(floating) => {
                let removed = match self.network.remove_address(&spec(&floating)).await {
                    // With its interface, the address went as well.
                    Err(NetworkError::NoInterface { .. }) => Ok(false),
                    other => other.map_err(words),
                };
                return Some(Event::AddressRemoved(floating, removed));
            }
            Effect::Announce(floating) => {
                let announced = self.network.announce(&floating.interface, floating.address);
                return announced
                    .await
                    .err()
                    .map(|error| Event::AnnouncementFailed(floating, words(error)));
            }
            // The caller has taken it.
            Effect::End(_) => {}
        }
        None
    }

    async fn answer(&mut self, query: Query) {
        // A client that has hung up meanwhile does not want its answer.
        match query {
            Query::Snapshot(answer) => drop(answer.send(self.snapshot().await)),
            Query::Status(answer) => {
                let now = self.clock.now();
                let snapshot = self.snapshot().await;
                let latest = self.monitors.latest().await;
                let status = snapshot.map(|snapshot| self.director.status(&snapshot, &latest, now));
                drop(answer.send(status));
            }
            Query::Table(answer) => {
                let snapshot = self.snapshot().await;
                drop(answer.send(snapshot.map(|snapshot| self.director.table(&snapshot))));
            }
            Query::Connections(query, answer) => {
                // Beside the actor: a page takes a while.
                let plane = self.plane.clone();
                tokio::spawn(async move {
                    drop(answer.send(plane.connections(query).await.map_err(words)));
                });
            }
            Query::Explain(question, answer) => {
                // Beside the actor: the first time the kernel checks the programs for seconds.
                let explaining = self.explaining.clone();
                let plane = self.plane.clone();
                tokio::spawn(async move {
                    drop(answer.send(explaining.explain(&plane, question).await));
                });
            }
            Query::Change(changes, answer) => drop(answer.send(self.change(&changes).await)),
            Query::Order(request, by, answer) => {
                let (given, now) = (since_1970().as_secs(), self.clock.now());
                let ordered = match self.director.order(request, &by, given, now) {
                    Ok(effects) => {
                        for effect in effects {
                            let event = self.run_effect(effect).await;
                            self.ended.extend(event);
                        }
                        Ok(())
                    }
                    Err(refusal) => Err(refusal),
                };
                drop(answer.send(ordered));
            }
            Query::History(query, answer) => {
                let history = self.director.history(&query, self.clock.now());
                drop(answer.send(Ok(history)));
            }
            Query::Happenings(after, answer) => drop(answer.send(self.chronicle.after(after))),
            Query::Save(answer) => {
                let (table, interface) = match self.director.to_save() {
                    Ok(wanted) => wanted,
                    Err(error) => {
                        drop(answer.send(Err(words(error))));
                        return;
                    }
                };
                let (path, source) = (self.config.clone(), self.read.borrow().clone());
                // Beside the actor: names in the file may have to be resolved.
                tokio::task::spawn_blocking(move || {
                    let saved = save_now(&path, &source, &table, interface.as_deref());
                    drop(answer.send(saved.map_err(words)));
                });
            }
            Query::Zero(service, answer) => {
                let zeroed = match self.snapshot().await {
                    Ok(snapshot) => self.director.zero(service.as_ref(), &snapshot),
                    Err(problem) => Err(ChangeRefusal::Refused(problem)),
                };
                drop(answer.send(zeroed));
            }
        }
    }

    async fn snapshot(&self) -> Result<Snapshot, String> {
        let snapshot = self.plane.call(|plane| plane.snapshot()).await;
        snapshot.map_err(words)
    }

    /// Makes changes by hand, and waits for what the data plane says to them.
    async fn change(&mut self, changes: &[Change]) -> Vec<Result<(), ChangeRefusal>> {
        let (mut results, effects) = self.director.change(changes);
        for effect in effects {
            let Some(event) = self.run_effect(effect).await else {
                continue;
            };
            if let Event::Applied(Err(problem)) = &event {
                for result in results.iter_mut().filter(|result| result.is_ok()) {
                    *result = Err(ChangeRefusal::Refused(problem.clone()));
                }
            }
            self.ended.push_back(event);
        }
        results
    }
}

impl Sources {
    async fn next(&mut self) -> Incoming {
        let event = tokio::select! {
            Some(()) = self.terminate.recv() => Event::ShutdownRequested,
            Some(()) = self.interrupt.recv() => Event::ShutdownRequested,
            Some(()) = self.hangup.recv() => Event::ReloadRequested,
            Some(event) = self.later.recv() => event,
            Some(report) = self.reports.recv() => Event::Report(report),
            Some((address, hop)) = self.hops.recv() => Event::NextHop(address, hop),
            Some(query) = self.queries.recv() => return Incoming::Query(query),
            _ = self.tick.tick() => Event::Tick,
        };
        Incoming::Event(event)
    }
}

/// Bounds on probes by what the process may open.
fn limits() -> Limits {
    let limits = Limits::default();
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => limits.within(raised(soft, hard)),
        Err(error) => {
            tracing::warn!(%error, "cannot tell how many files may be open");
            limits
        }
    }
}

/// Raises the number of files that may be open as far as it is of use and allowed.
fn raised(soft: u64, hard: u64) -> u64 {
    const USEFUL: u64 = 4 * 32_768;
    let wanted = hard.min(USEFUL);
    if soft >= wanted {
        return soft;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, soft, wanted, "cannot raise the number of open files");
            soft
        }
    }
}

/// Now, since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the wall clock is for people who read it; nothing is decided by it"
)]
fn since_1970() -> Duration {
    let now = std::time::SystemTime::now();
    // A clock before 1970 is not set at all.
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Sends the end of an effect to the actor; when that has gone, nobody waits for it.
fn tell(later: &mpsc::UnboundedSender<Event>, event: Event) {
    drop(later.send(event));
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn spec(floating: &caribe_config::config::FloatingAddress) -> FloatingSpec {
    FloatingSpec {
        interface: floating.interface.clone(),
        address: floating.address,
        prefix: floating.prefix,
        label: floating.address.is_ipv4().then(|| floating.label.clone()),
    }
}
