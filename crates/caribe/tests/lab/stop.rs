//! What a stop leaves behind: nothing, or on request everything.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caribe_lab::Host;

use crate::bed::Bed;
use crate::director::SOON;
use crate::lvs_cf::{Balanced, LvsCf, Way};
use crate::spread::{ask, shares};
use crate::traces::{KernelObjects, addresses, files_below};

const SERVICES: [Balanced; 4] = [
    Balanced::tcp4(Way::Nat),
    Balanced::tcp6(Way::Nat),
    Balanced::tcp4(Way::Direct),
    Balanced::tcp6(Way::Tunnel),
];

fn thirds() -> crate::spread::Spread {
    shares(&[("web1", 3), ("web2", 3), ("web3", 3)])
}

/// Whether the director's interface has an XDP program, by `ip`.
fn has_program(bed: &Bed, interface: &str) -> bool {
    let link = bed
        .net
        .director
        .command("ip")
        .args(["-d", "link", "show", "dev", interface])
        .run()
        .expect("the interface");
    link.contains("prog/xdp")
}

#[test]
fn a_clean_stop_leaves_nothing() {
    let file = LvsCf::rr(&SERVICES);
    let mut bed = Bed::start("stop", &file);
    let host = bed.net.director.clone();
    let up = addresses(&host);
    for service in SERVICES {
        assert!(has(&up, service), "{service} in {up:?}");
        assert_eq!(ask(bed.client(), service, 9), thirds(), "{service}");
    }
    let objects = KernelObjects::of(&bed.director.pins);
    assert_eq!(objects.links.len(), 2, "eth0 and eth1: {objects:?}");
    assert_eq!(objects.alive(), objects);
    assert!(has_program(&bed, "eth0") && has_program(&bed, "eth1"));
    let socket = sockets(&bed.director.runtime);
    assert_eq!(socket.len(), 1, "one control socket: {socket:?}");

    bed.director.stop();
    objects.must_be_gone();
    assert!(!has_program(&bed, "eth0") && !has_program(&bed, "eth1"));
    assert!(!bed.director.pins.exists(), "pins are left");
    assert_eq!(sockets(&bed.director.runtime), Vec::<PathBuf>::new());
    let left = addresses(&host);
    for service in SERVICES {
        assert!(!has(&left, service), "{service} in {left:?}");
    }
    assert_eq!(open_sockets(&host), Vec::<String>::new());
    let memory = fs::read_to_string(bed.director.runtime.join("addresses.json"));
    assert!(
        !memory.unwrap_or_default().contains("10.1.0"),
        "addresses are remembered that are gone"
    );

    // Nothing stands in the way of another start.
    bed.director.launch(&[]);
    bed.director.wait_until_answers();
    bed.director.wait_until(None, true, SOON);
    assert!(!bed.director.status().dataplane.adopted);
    assert_eq!(ask(bed.client(), SERVICES[0], 9), thirds());
    bed.leave();
}

#[test]
fn keep_dataplane_leaves_it_forwarding() {
    let file = LvsCf::rr(&SERVICES);
    let mut bed = Bed::start("keep", &file);
    bed.director.kill();
    bed.director.launch(&["--keep-dataplane"]);
    bed.director.wait_until_answers();
    bed.director.wait_until(None, true, SOON);
    let objects = KernelObjects::of(&bed.director.pins);
    let up = addresses(&bed.net.director);

    bed.director.stop();
    assert_eq!(objects.alive(), objects, "all of it stays");
    assert_eq!(addresses(&bed.net.director), up);
    assert_eq!(sockets(&bed.director.runtime), Vec::<PathBuf>::new());
    for service in SERVICES {
        assert_eq!(ask(bed.client(), service, 9), thirds(), "{service}");
    }

    bed.director.launch(&[]);
    bed.director.wait_until_answers();
    bed.director.wait_until(None, true, SOON);
    assert!(bed.director.status().dataplane.adopted);
    for service in SERVICES {
        assert_eq!(ask(bed.client(), service, 9), thirds(), "{service}");
    }
    bed.leave();
}

#[test]
fn sigint_stops_as_sigterm_does() {
    let mut bed = Bed::start("sigint", &LvsCf::rr(&SERVICES[..1]));
    let objects = KernelObjects::of(&bed.director.pins);
    let process = bed.director.process();
    process
        .signal(nix::sys::signal::Signal::SIGINT)
        .expect("SIGINT");
    let status = process.wait(Duration::from_secs(10)).expect("it ends");
    assert!(status.success(), "{status}");
    objects.must_be_gone();
    bed.leave();
}

/// Whether the VIP is among the addresses.
fn has(addresses: &BTreeSet<String>, service: Balanced) -> bool {
    let vip = format!("{} ", service.vip());
    addresses.iter().any(|address| address.starts_with(&vip))
}

/// Every socket on the director's host, where nothing but the director runs: raw, packet,
/// netlink of user processes, TCP listeners, UDP.
fn open_sockets(host: &Host) -> Vec<String> {
    let mut found = Vec::new();
    for kind in [
        "tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "unix",
    ] {
        let path = format!("/proc/thread-self/net/{kind}");
        let text = host.run(|| fs::read_to_string(&path)).expect("the host");
        let text = text.expect("a list of sockets");
        // TCP's TIME_WAIT (06) and what it waits to close are no process's sockets.
        let lines = text.lines().skip(1).map(str::trim);
        let lines = lines.filter(|line| line.split_whitespace().nth(3) != Some("06"));
        found.extend(lines.map(|line| format!("{kind}: {line}")));
    }
    found
}

/// Sockets in the runtime directory.
fn sockets(runtime: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = |path: &PathBuf| {
        let kind = fs::symlink_metadata(path).expect("a file").file_type();
        kind.is_socket()
    };
    files_below(runtime).into_iter().filter(is_socket).collect()
}
