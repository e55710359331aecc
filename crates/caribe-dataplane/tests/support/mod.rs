//! What the tests on the real kernel share: namespaces of their own, tables in a line, frames.
//!
//! Every test runs in a thread with a mount namespace and a network namespace of its own, so
//! tests run side by side, see no interface of the machine, and leave nothing behind: both
//! namespaces vanish with the thread.
#![allow(dead_code, reason = "each test program uses its part of this")]

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use caribe_dataplane::xdp::probe::Action;
use caribe_dataplane::xdp::{Options, XdpDataplane};
use caribe_dataplane::{Dataplane as _, Snapshot};
use caribe_model::{
    Forwarding, MacAddress, NextHop, Protocol, Scheduler, SchedulerOptions, Server, ServerKey,
    Service, ServiceKey, Table,
};
use caribe_packet::settings::LAYOUT;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// The MAC address of every probe's sender.
pub(crate) const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xc1];
/// The MAC address to which probes are sent.
pub(crate) const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xd1];

/// A bpffs and a network of one's own.
pub(crate) struct Private {
    directory: tempfile::TempDir,
}

impl Private {
    /// Moves this thread into namespaces of its own. Needs root.
    pub(crate) fn enter() -> Self {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
            .expect("the tests of the data plane need root");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .expect("keep mounts to this thread");
        let directory = tempfile::tempdir().expect("a directory");
        mount(
            Some("bpf"),
            directory.path(),
            Some("bpf"),
            MsFlags::empty(),
            none,
        )
        .expect("mount a bpffs");
        ip("link set lo up");
        Private { directory }
    }

    /// Where the bpffs is.
    pub(crate) fn bpffs(&self) -> &Path {
        self.directory.path()
    }

    /// Where a director's pins are.
    pub(crate) fn pins(&self) -> PathBuf {
        self.bpffs().join("caribe")
    }

    /// Where a director's pins of this version are.
    pub(crate) fn layout(&self) -> PathBuf {
        self.pins().join(format!("v{LAYOUT}"))
    }

    /// Options for a small data plane.
    pub(crate) fn options(&self) -> Options {
        Options {
            pin_directory: self.pins(),
            connections: 1000,
            services: 16,
            servers: 64,
            slots: 10_000,
            ..Options::default()
        }
    }

    /// A small data plane on no interface.
    pub(crate) fn open(&self) -> XdpDataplane {
        XdpDataplane::open(&self.options()).expect("open the data plane")
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // The directory cannot be removed while something is mounted on it.
        if let Err(error) =
            nix::mount::umount2(self.directory.path(), nix::mount::MntFlags::MNT_DETACH)
        {
            eprintln!(
                "cannot unmount {}: {error}",
                self.directory.path().display()
            );
        }
    }
}

/// Runs `ip` with these words in this thread's network namespace.
pub(crate) fn ip(words: &str) {
    let status = Command::new("ip")
        .args(words.split(' '))
        .status()
        .expect("run ip");
    assert!(status.success(), "ip {words}: {status}");
}

/// What `ip` prints.
pub(crate) fn ip_output(words: &str) -> String {
    let output = Command::new("ip")
        .args(words.split(' '))
        .output()
        .expect("run ip");
    String::from_utf8(output.stdout).expect("text")
}

/// A TCP service.
pub(crate) fn tcp(vip: &str) -> ServiceKey {
    service(Protocol::Tcp, vip)
}

/// A UDP service.
pub(crate) fn udp(vip: &str) -> ServiceKey {
    service(Protocol::Udp, vip)
}

/// An SCTP service.
pub(crate) fn sctp(vip: &str) -> ServiceKey {
    service(Protocol::Sctp, vip)
}

fn service(protocol: Protocol, vip: &str) -> ServiceKey {
    let vip = socket(vip);
    ServiceKey::Address {
        protocol,
        address: vip.ip(),
        port: vip.port(),
    }
}

/// An address and port.
pub(crate) fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

/// A real server's identity.
pub(crate) fn server_key(text: &str) -> ServerKey {
    let address = socket(text);
    ServerKey {
        address: address.ip(),
        port: address.port(),
    }
}

/// A service with its scheduler, and its servers by address and weight.
pub(crate) type Line<'a> = (ServiceKey, Scheduler, &'a [(&'a str, u32)]);

/// A table of services.
pub(crate) fn table(forwarding: Forwarding, services: &[Line<'_>]) -> Table {
    let mut table = Table::default();
    for (key, scheduler, servers) in services {
        let servers = servers
            .iter()
            .map(|(server, weight)| Server {
                key: server_key(server),
                forwarding,
                weight: *weight,
                encapsulation: Default::default(),
                thresholds: Default::default(),
            })
            .collect();
        table
            .insert(
                *key,
                Service {
                    scheduler: *scheduler,
                    options: SchedulerOptions::IPVS,
                    servers,
                    one_packet: false,
                    persistence: None,
                    policy: Default::default(),
                },
            )
            .expect("a legal table");
    }
    table
}

/// The way to a server: by the loopback, to a MAC address that ends as the server's address does.
pub(crate) fn hop(address: IpAddr) -> NextHop {
    let (last, source) = match address {
        IpAddr::V4(address) => (address.octets()[3], [10, 0, 0, 254].into()),
        IpAddr::V6(address) => (
            address.octets()[15],
            "fd00::fe".parse().expect("an address"),
        ),
    };
    NextHop {
        interface: 1,
        source_mac: MacAddress(OWN_MAC),
        destination_mac: MacAddress([2, 0, 0, 0, 1, last]),
        source_address: source,
        mtu: 1500,
    }
}

/// Tells the ways to all servers of a table.
pub(crate) fn reach(dataplane: &mut XdpDataplane, table: &Table) {
    for (_, service) in table.services() {
        for server in &service.servers {
            let address = server.key.address;
            dataplane
                .set_next_hop(address, Some(hop(address)))
                .expect("set the next hop");
        }
    }
}

/// Applies a table and tells the ways to its servers.
pub(crate) fn apply(dataplane: &mut XdpDataplane, table: &Table) {
    reach(dataplane, table);
    dataplane.apply(table).expect("apply the table");
}

/// TCP flags.
pub(crate) const SYN: u8 = 0x02;
/// TCP flags.
pub(crate) const ACK: u8 = 0x10;

/// A frame from a client to a service. Checksums of the transport header are left zero, which
/// the program does not look at.
pub(crate) fn frame(protocol: Protocol, client: &str, vip: &str, tcp_flags: u8) -> Vec<u8> {
    let (client, vip) = (socket(client), socket(vip));
    let mut transport = Vec::new();
    transport.extend(client.port().to_be_bytes());
    transport.extend(vip.port().to_be_bytes());
    match protocol {
        Protocol::Tcp => {
            transport.resize(20, 0);
            (transport[12], transport[13]) = (5 << 4, tcp_flags);
        }
        Protocol::Udp => transport.extend([0, 8, 0, 0]),
        // Tag and checksum, then an INIT chunk without its parameters.
        Protocol::Sctp => transport.extend([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 4]),
    }
    let mut frame = [OWN_MAC, CLIENT_MAC].concat();
    match (client.ip(), vip.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([0x08, 0x00]);
            let mut header = vec![0x45, 0, 0, 20 + transport.len() as u8, 0, 1, 0x40, 0, 64];
            header.extend([protocol.number(), 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let checksum = checksum(&header);
            header[10..12].copy_from_slice(&checksum);
            frame.extend(header);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, transport.len() as u8]);
            frame.extend([protocol.number(), 64]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        _ => panic!("client and service are of one address family"),
    }
    frame.extend(transport);
    frame
}

fn checksum(header: &[u8]) -> [u8; 2] {
    let words = header
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (!(sum as u16)).to_be_bytes()
}

/// Sends a frame and returns the last byte of the address to which it went on, told by the MAC
/// address; `None` when it was not forwarded.
pub(crate) fn send(dataplane: &XdpDataplane, frame: &[u8]) -> Option<u8> {
    let outcome = dataplane.probe(frame, None).expect("probe");
    match outcome.action {
        // An ICMP error goes back to where the packet came from.
        Action::Transmit if outcome.frame[..6] == CLIENT_MAC => None,
        Action::Transmit | Action::Redirect => {
            assert_eq!(outcome.frame[..5], [2, 0, 0, 0, 1], "forwarded to a server");
            Some(outcome.frame[5])
        }
        Action::Drop | Action::Pass => None,
        other => panic!("the program answered {other:?}"),
    }
}

/// Opens a TCP connection from a port of the client 198.51.100.7.
pub(crate) fn syn(dataplane: &XdpDataplane, port: u16, vip: &str) -> Option<u8> {
    send(
        dataplane,
        &frame(Protocol::Tcp, &format!("198.51.100.7:{port}"), vip, SYN),
    )
}

/// A verdict's counter.
pub(crate) fn verdict(snapshot: &Snapshot, name: &str) -> u64 {
    *snapshot
        .verdicts
        .get(name)
        .unwrap_or_else(|| panic!("no verdict is named {name}"))
}

/// A snapshot.
pub(crate) fn snapshot(dataplane: &XdpDataplane) -> Snapshot {
    dataplane.snapshot().expect("take a snapshot")
}

/// Active and inactive connections by server, newest first, of the first service.
pub(crate) fn loads(dataplane: &XdpDataplane) -> Vec<(u32, u32)> {
    let snapshot = snapshot(dataplane);
    snapshot.services[0]
        .servers
        .iter()
        .map(|server| (server.active, server.inactive))
        .collect()
}

/// Lets time pass on the kernel's clock, by which connections expire.
#[expect(
    clippy::disallowed_methods,
    reason = "the kernel's clock cannot be simulated"
)]
pub(crate) fn wait(milliseconds: u64) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
}

/// Asks again for up to three seconds.
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..150 {
        if check() {
            return;
        }
        wait(20);
    }
    panic!("after three seconds it is still not so that {what}");
}
