//! Attaching, adopting links, and interfaces that come and go, on the real kernel.

mod support;

use aya::programs::ProgramInfo;
use caribe_dataplane::xdp::{Options, XdpDataplane};
use caribe_dataplane::{Dataplane as _, LiveInterface};
use support::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn modes(dataplane: &XdpDataplane) -> Vec<(String, String)> {
    let live = snapshot(dataplane).interfaces.into_iter();
    live.map(|LiveInterface { name, mode, .. }| (name, mode))
        .collect()
}

fn pair(name: &str, mode: &str) -> (String, String) {
    (name.to_owned(), mode.to_owned())
}

/// True when the kernel says that an interface carries an XDP program.
fn carries(interface: &str) -> bool {
    ip_output(&format!("link show {interface}")).contains("xdp")
}

/// The number of the program on an interface, as the kernel tells it.
fn program_on(interface: &str) -> u32 {
    let text = ip_output(&format!("link show {interface}"));
    let number = text.split("prog/xdp id ").nth(1).expect("a program");
    number
        .split_whitespace()
        .next()
        .expect("a word")
        .parse()
        .expect("a number")
}

/// One interface without XDP in its driver, and all run in the stack: the program in a driver
/// could not send to it.
#[test]
fn the_driver_is_asked_first_and_the_stack_then() {
    let private = Private::enter();
    ip("link add veth0 type veth peer name veth1");
    let options = Options {
        interfaces: names(&["veth0"]),
        ..private.options()
    };
    let mut dataplane = XdpDataplane::open(&options).expect("open");
    assert_eq!(modes(&dataplane), [pair("veth0", "native")]);

    // The loopback's driver knows no XDP.
    dataplane.attach(&names(&["lo"])).expect("attach");
    assert_eq!(
        modes(&dataplane),
        [pair("lo", "generic"), pair("veth0", "generic")]
    );
    for interface in ["lo", "veth0"] {
        let text = ip_output(&format!("link show {interface}"));
        assert!(text.contains("xdpgeneric"), "{text}");
    }

    dataplane.detach(&names(&["lo", "veth1"])).expect("detach");
    assert_eq!(modes(&dataplane).len(), 1);
    assert!(!carries("lo") && carries("veth0"));
    dataplane
        .set_interfaces(&names(&["veth1", "lo"]))
        .expect("move");
    assert_eq!(
        modes(&dataplane),
        [pair("lo", "generic"), pair("veth1", "generic")]
    );
    assert!(!carries("veth0"));
    dataplane
        .attach(&names(&["veth0", "lo"]))
        .expect("twice is fine");
    assert_eq!(modes(&dataplane).len(), 3);
    dataplane.remove().expect("remove");
    assert!(!carries("veth0") && !carries("veth1") && !carries("lo"));
}

#[test]
fn an_adopting_director_puts_its_own_program_in_place() {
    let private = Private::enter();
    ip("link add veth0 type veth peer name veth1");
    ip("link add veth2 type veth peer name veth3");
    let options = Options {
        interfaces: names(&["veth0", "veth2"]),
        ..private.options()
    };
    drop(XdpDataplane::open(&options).expect("open"));
    let pin = private.layout().join("director");
    let before = ProgramInfo::from_pin(&pin).expect("a program").id();
    assert_eq!(program_on("veth0"), before);
    assert_eq!(program_on("veth2"), before);

    // The second director is configured for one interface less.
    let options = Options {
        interfaces: names(&["veth2"]),
        ..private.options()
    };
    let dataplane = XdpDataplane::open(&options).expect("adopt");
    let after = ProgramInfo::from_pin(&pin).expect("a program").id();
    assert_ne!(after, before);
    assert!(!carries("veth0"));
    assert_eq!(program_on("veth2"), after);
    assert_eq!(modes(&dataplane), [pair("veth2", "native")]);
    eventually("the old program is gone", || {
        aya::programs::loaded_programs()
            .flatten()
            .all(|loaded| loaded.id() != before)
    });
    dataplane.remove().expect("remove");
}

#[test]
fn an_interface_that_comes_back_is_attached_anew() {
    let private = Private::enter();
    ip("link add veth0 type veth peer name veth1");
    let options = Options {
        interfaces: names(&["veth0"]),
        ..private.options()
    };
    let mut dataplane = XdpDataplane::open(&options).expect("open");
    ip("link del veth0");
    dataplane.sweep().expect("sweep");
    assert_eq!(modes(&dataplane), []);
    ip("link add veth0 type veth peer name veth1");
    dataplane.sweep().expect("sweep");
    assert_eq!(modes(&dataplane), [pair("veth0", "native")]);
    assert!(carries("veth0"));

    // Vanished and back between two sweeps.
    ip("link del veth0");
    ip("link add veth0 type veth peer name veth1");
    assert!(!carries("veth0"));
    dataplane.sweep().expect("sweep");
    assert!(carries("veth0"));

    // Vanished while no director ran.
    drop(dataplane);
    ip("link del veth0");
    ip("link add veth0 type veth peer name veth1");
    let dataplane = XdpDataplane::open(&options).expect("adopt");
    assert!(dataplane.adopted() && carries("veth0"));
    dataplane.remove().expect("remove");
    assert!(!private.pins().exists());
}

#[test]
fn another_program_on_the_interface_is_left_alone() {
    let private = Private::enter();
    ip("link add veth0 type veth peer name veth1");
    let options = Options {
        interfaces: names(&["veth0"]),
        ..private.options()
    };
    let first = XdpDataplane::open(&options).expect("open");
    let other = Options {
        pin_directory: private.bpffs().join("other"),
        ..options
    };
    let before = program_on("veth0");
    let refused = XdpDataplane::open(&other).expect_err("the interface is taken");
    assert!(
        refused.to_string().contains("attach to interface veth0"),
        "{refused}"
    );
    assert!(refused.to_string().contains("busy"), "{refused}");
    assert_eq!(program_on("veth0"), before);
    assert!(!other.pin_directory.exists());
    first.remove().expect("remove");
}
