//! Network namespaces for the tests: each lives on a thread of its own, which runs what it is
//! given, and goes when it is dropped. Needs root.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread::JoinHandle;

use caribe_network::Network;
use netlink_packet_route::address::{AddressAttribute, AddressFlags};
use nix::sched::{CloneFlags, unshare};
use rtnetlink::{LinkUnspec, LinkVeth};
use tokio::runtime::Runtime;

type Job = Box<dyn FnOnce(&Runtime) + Send>;

pub(crate) struct Namespace {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    file: File,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let (jobs, received) = mpsc::channel::<Job>();
        let (ready_sender, ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace; these tests need root");
            let file = File::open("/proc/thread-self/ns/net").expect("the namespace's file");
            ready_sender.send(file).expect("the creator waits");
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            for job in received {
                job(&runtime);
            }
        });
        let file = ready.recv().expect("the namespace's thread lives");
        let namespace = Namespace {
            jobs: Some(jobs),
            thread: Some(thread),
            file,
        };
        namespace.set_up("lo");
        namespace
    }

    /// Runs a future to its end inside the namespace. A panic in it is the caller's.
    pub(crate) fn run<F, R>(&self, future: impl FnOnce() -> F + Send + 'static) -> R
    where
        F: Future<Output = R>,
        R: Send + 'static,
    {
        let (sender, result) = mpsc::channel();
        let job: Job = Box::new(move |runtime| {
            let work = std::panic::AssertUnwindSafe(|| runtime.block_on(future()));
            let _ = sender.send(std::panic::catch_unwind(work));
        });
        self.jobs
            .as_ref()
            .expect("present until drop")
            .send(job)
            .expect("the namespace's thread lives");
        match result.recv().expect("the namespace's thread lives") {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Joins two namespaces by a veth pair whose ends are up.
    pub(crate) fn join(&self, name: &'static str, other: &Namespace, other_name: &'static str) {
        let target = other.file.as_raw_fd();
        self.run(move || async move {
            let handle = handle();
            let veth = LinkVeth::new(name, other_name).build();
            handle
                .link()
                .add(veth)
                .execute()
                .await
                .expect("a veth pair");
            let moved = LinkUnspec::new_with_name(other_name)
                .setns_by_fd(target)
                .build();
            handle.link().set(moved).execute().await.expect("moved");
        });
        self.set_up(name);
        other.set_up(other_name);
    }

    pub(crate) fn set_up(&self, name: &'static str) {
        self.change_link(LinkUnspec::new_with_name(name).up().build());
    }

    pub(crate) fn change_link(&self, link: netlink_packet_route::link::LinkMessage) {
        self.run(move || async move {
            let change = handle().link().set(link);
            change.execute().await.expect("the link changes");
        });
    }

    pub(crate) fn sysctl(&self, name: &'static str, value: &'static str) {
        let path = format!("/proc/sys/net/{name}");
        self.run(move || async move {
            std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
        });
    }

    /// Puts an ordinary address on an interface, as an administrator would.
    pub(crate) fn add_own(&self, name: &'static str, address: &'static str, prefix: u8) {
        self.run(move || async move {
            let (network, _changes) = Network::connect().expect("netlink");
            let index = network.interface(name).await.expect("the interface").index;
            let address = address.parse().expect("an address");
            let mut addition = handle().address().add(index, address, prefix);
            addition
                .message_mut()
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
            addition.execute().await.expect("the address is added");
        });
    }

    pub(crate) fn add_route(&self, route: netlink_packet_route::route::RouteMessage) {
        self.run(move || async move {
            let addition = handle().route().add(route);
            addition.execute().await.expect("the route is added");
        });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A netlink connection of its own, inside [`Namespace::run`].
fn handle() -> rtnetlink::Handle {
    let (connection, handle, _) = rtnetlink::new_connection().expect("a netlink socket");
    tokio::spawn(connection);
    handle
}
