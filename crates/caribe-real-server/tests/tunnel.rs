//! Tunnelling: packets in packets, unwrapped by our own program on a kernel without tunnel
//! devices.

mod lan;
mod tunneller;

use std::time::Duration;

use caribe_lab::wait;
use lan::{Lan, PEER4, PEER6, REAL4, REAL6, VIP4, VIP6};
use tunneller::{Tunneller, Wrapping};

fn counts(lan: &Lan) -> (u64, u64) {
    let status = lan.succeed("status --json");
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let count = |name: &str| status["tunnel"][name].as_u64().expect("a counter");
    (count("decapsulated"), count("refused"))
}

#[test]
fn tcp_comes_through_every_kind_of_tunnel() {
    let lan = Lan::new("rs-tunnel");
    // The strict filter of most distributions.
    lan.set_sysctl("all", "rp_filter", "1");
    lan.set_sysctl("eth0", "rp_filter", "1");
    let before = lan.picture();
    let said = lan.succeed("up --vip 10.1.0.80 --vip fd00:1::80 --interface eth0 --method tunnel");
    assert!(
        said.contains("attached the decapsulating program to eth0, native"),
        "{said}"
    );
    assert_eq!(lan.sysctl("eth0", "rp_filter"), "2");
    assert_eq!(lan.sysctl("all", "rp_filter"), "1");
    assert!(!lan.is_answered(VIP4) && !lan.is_answered(VIP6));

    let mut unwrapped = counts(&lan).0;
    assert_eq!(unwrapped, 0);
    for (vip, source, outer, wrapping) in [
        (VIP4, PEER4, (PEER4, REAL4), Wrapping::Ipip),
        (VIP6, PEER6, (PEER6, REAL6), Wrapping::Ipip),
        (VIP4, PEER4, (PEER6, REAL6), Wrapping::Ipip),
        (VIP4, PEER4, (PEER4, REAL4), Wrapping::Gue(6080)),
        (VIP6, PEER6, (PEER4, REAL4), Wrapping::Gue(9999)),
        (
            VIP4,
            PEER4,
            (PEER6, REAL6),
            Wrapping::Gre { checksum: false },
        ),
        (
            VIP6,
            PEER6,
            (PEER6, REAL6),
            Wrapping::Gre { checksum: true },
        ),
    ] {
        let tunneller = Tunneller::start(&lan, "eth0", vip, source, outer, wrapping);
        lan.converse(vip);
        let sent = tunneller.stop();
        let now = counts(&lan).0;
        assert_eq!(
            now - unwrapped,
            sent,
            "every packet through {outer:?} by {wrapping:?} is unwrapped"
        );
        assert!(sent > 600, "a megabyte takes packets: {sent}");
        unwrapped = now;
    }
    assert_eq!(counts(&lan).1, 0);

    lan.succeed("down");
    assert_eq!(lan.picture(), before);
}

#[test]
fn a_tunnelled_packet_for_no_vip_is_left_alone() {
    let lan = Lan::new("rs-refused");
    lan.succeed("up --vip 10.1.0.80 --interface eth0 --method tunnel");
    let tunneller = Tunneller::start(
        &lan,
        "eth0",
        "10.1.0.99",
        PEER4,
        (PEER4, REAL4),
        Wrapping::Ipip,
    );
    let ping = lan
        .peer
        .command("ping")
        .args(["-n", "-c", "2", "-W", "1", "10.1.0.99"])
        .run();
    assert!(ping.is_err(), "nobody has that address");
    assert_eq!(tunneller.stop(), 2);
    assert_eq!(counts(&lan), (0, 2));
}

#[test]
fn the_program_outlives_the_command_and_is_found_again() {
    let lan = Lan::new("rs-pinned");
    lan.succeed("up --vip 10.1.0.80 --interface eth0 --method tunnel");
    let link = lan.ip("-j link show dev eth0");
    assert!(link.contains(r#""xdp""#), "{link}");

    // A second VIP joins the program that runs.
    let said = lan.succeed("up --vip 10.1.0.81 --interface eth0 --method tunnel");
    assert_eq!(
        said,
        "tunnelled packets for 10.1.0.81 are unwrapped\nput 10.1.0.81/32 on lo\n"
    );
    assert_eq!(lan.ip("-j link show dev eth0"), link);

    // Taken off behind our back, it is missed and put back.
    std::fs::remove_file(lan.pins().join("link")).expect("the pin of the link");
    // The kernel ends an unpinned link when it finds the time.
    wait::until("the program to go", Duration::from_secs(5), || {
        let links = lan.ip("-j link show dev eth0");
        (!links.contains(r#""xdp""#)).then_some(()).ok_or(links)
    })
    .expect("gone");
    let status = lan.command("status").expect("a status");
    assert_eq!(status.code, 1);
    assert!(
        status.text.contains("MISSING decapsulator  not on eth0"),
        "{}",
        status.text
    );
    lan.succeed("up --vip 10.1.0.80 --vip 10.1.0.81 --interface eth0 --method tunnel");
    lan.succeed("status");
    lan.succeed("down");
    assert!(!lan.pins().exists());
    assert!(!lan.ip("-j link show dev eth0").contains(r#""xdp""#));
}

#[test]
fn an_interface_with_another_xdp_program_is_refused() {
    use caribe_real_server::{RealServerError, Refusal};

    let lan = Lan::new("rs-xdp");
    lan.succeed("up --vip 10.1.0.80 --interface eth0 --method tunnel");
    let elsewhere = format!(
        "up --vip 10.1.0.80 --interface eth0 --method tunnel --state {} --pins {}",
        lan.directory().join("other.json").display(),
        lan.pins().with_file_name("other").display()
    );
    let before = lan.picture();
    match lan.command(&elsewhere) {
        Err(RealServerError::Refused(refusals)) => assert!(
            matches!(refusals.as_slice(), [Refusal::OtherXdp { .. }]),
            "{refusals:?}"
        ),
        other => panic!("must be refused: {other:?}"),
    }
    assert_eq!(lan.picture(), before);
}

#[test]
fn up_may_follow_down_at_once() {
    let lan = Lan::new("rs-again");
    for _ in 0..10 {
        lan.succeed("up --vip 10.1.0.80 --interface eth0 --method tunnel");
        lan.succeed("down");
        assert!(!lan.ip("-j link show dev eth0").contains(r#""xdp""#));
    }
}

#[test]
fn one_server_may_serve_by_both_methods() {
    let lan = Lan::new("rs-both");
    let before = lan.picture();
    lan.succeed("up --vip 10.1.0.80 --interface eth0 --method direct");
    lan.succeed("up --vip 10.1.0.81 --interface eth0 --method tunnel");
    let status = lan.succeed("status");
    for line in [
        "10.1.0.80 (direct): in place",
        "10.1.0.81 (tunnel): in place",
    ] {
        assert!(status.contains(line), "{status}");
    }
    lan.direct(VIP4);
    lan.converse(VIP4);
    let tunneller = Tunneller::start(
        &lan,
        "eth0",
        "10.1.0.81",
        PEER4,
        (PEER4, REAL4),
        Wrapping::Ipip,
    );
    lan.converse("10.1.0.81");
    assert_eq!(tunneller.stop(), counts(&lan).0);
    lan.succeed("down");
    assert_eq!(lan.picture(), before);
}

#[test]
fn a_driver_without_xdp_serves_in_generic_mode_and_status_says_so() {
    let lan = Lan::new("rs-generic");
    lan.ip("link add mv0 link eth0 type macvlan mode bridge");
    lan.ip("addr add 10.1.0.3/24 dev mv0");
    lan.ip("link set mv0 up");
    let said = lan.succeed("up --vip 10.1.0.80 --interface mv0 --method tunnel");
    assert!(said.contains("generic mode, which is slower"), "{said}");
    let status = lan.succeed("status");
    assert!(status.contains("on mv0 in generic mode"), "{status}");
    let tunneller = Tunneller::start(
        &lan,
        "mv0",
        VIP4,
        PEER4,
        (PEER4, "10.1.0.3"),
        Wrapping::Ipip,
    );
    lan.converse(VIP4);
    assert_eq!(tunneller.stop(), counts(&lan).0);
    lan.succeed("down");
    assert!(!lan.ip("-j link show dev mv0").contains(r#""xdp""#));
}
