//! Direct routing: the VIP takes packets, and nobody hears of it.

mod lan;

use caribe_lab::{Capture, Packet};
use lan::{Lan, PEER6, REAL4, REAL6, VIP4, VIP6};

const SPEECH: [&str; 7] = [
    "arp.opcode",
    "arp.src.proto_ipv4",
    "arp.dst.proto_ipv4",
    "icmpv6.type",
    "ipv6.src",
    "icmpv6.nd.ns.target_address",
    "icmpv6.nd.na.target_address",
];

/// How many frames have all these values.
fn count(packets: &[Packet], wanted: &[(&str, &str)]) -> usize {
    let has = |packet: &Packet, field: &str, value: &str| {
        packet
            .get(field)
            .is_some_and(|values| values.iter().any(|each| each == value))
    };
    packets
        .iter()
        .filter(|packet| {
            wanted
                .iter()
                .all(|(field, value)| has(packet, field, value))
        })
        .count()
}

#[test]
fn an_address_on_the_wire_is_answered_for_which_the_other_tests_rely_on() {
    let lan = Lan::new("rs-control");
    // Linux answers ARP for any address it has, and solicitations for those of the interface.
    lan.ip("addr add 10.1.0.80/32 dev lo");
    assert!(lan.is_answered(VIP4));
    lan.ip("addr add fd00:1::80/128 dev lo nodad");
    assert!(!lan.is_answered(VIP6));
    lan.ip("addr add fd00:1::81/128 dev eth0 nodad");
    assert!(lan.is_answered("fd00:1::81"));
}

fn is_silent_and_serves(lan: &Lan, up: &str) {
    let before = lan.picture();
    let capture = Capture::start(&lan.peer, "eth0", "arp or icmp6").expect("tshark");
    lan.succeed(up);
    for vip in [VIP4, VIP6] {
        assert!(!lan.is_answered(vip), "{vip} must not be answered for");
        lan.direct(vip);
        // The real server does not know the client yet, and has to ask for it while its reply
        // comes from the VIP.
        lan.ip("neigh flush dev eth0");
        lan.converse(vip);
    }
    let heard = capture.finish(&SPEECH).expect("decoded");

    let told = format!("{heard:#?}");
    let asked = count(&heard, &[("arp.opcode", "1"), ("arp.dst.proto_ipv4", VIP4)]);
    assert!(asked >= 3, "the peer asked for the VIP: {told}");
    let spoke = count(&heard, &[("arp.src.proto_ipv4", VIP4)]);
    assert_eq!(
        spoke, 0,
        "no ARP packet names the VIP as its sender: {told}"
    );
    let own = count(
        &heard,
        &[("arp.opcode", "1"), ("arp.src.proto_ipv4", REAL4)],
    );
    assert!(own > 0, "the real server asked by its own address: {told}");

    let target = "icmpv6.nd.ns.target_address";
    let asked = count(&heard, &[(target, VIP6)]);
    assert!(asked >= 3, "the peer asked for the VIP: {told}");
    let answered = count(&heard, &[("icmpv6.nd.na.target_address", VIP6)]);
    assert_eq!(answered, 0, "no advertisement tells of the VIP: {told}");
    let spoke = count(&heard, &[("ipv6.src", VIP6)]);
    assert_eq!(
        spoke, 0,
        "no neighbour discovery comes from the VIP: {told}"
    );
    let asked = count(&heard, &[("icmpv6.type", "135"), (target, PEER6)]);
    assert!(asked > 0, "the real server asked for its client: {told}");

    assert!(lan.is_answered(REAL4) && lan.is_answered(REAL6));

    let status = lan.command("status").expect("a status");
    assert_eq!(status.code, 0, "{}", status.text);
    lan.succeed("down");
    assert_eq!(lan.picture(), before);
    assert!(!lan.state_file().exists());
    let status = lan.command("status").expect("a status");
    assert_eq!(status.code, 1, "{}", status.text);
}

#[test]
fn with_sysctls_the_vips_are_silent_and_serve() {
    let lan = Lan::new("rs-sysctl");
    is_silent_and_serves(&lan, "up --vip 10.1.0.80 --vip fd00:1::80 --interface eth0");
}

#[test]
fn with_nftables_the_vips_are_silent_and_serve() {
    let lan = Lan::new("rs-nft");
    is_silent_and_serves(
        &lan,
        "up --vip 10.1.0.80 --vip fd00:1::80 --interface eth0 --arp nftables",
    );
}

#[test]
fn the_nftables_rules_read_as_the_guides_have_them() {
    let lan = Lan::new("rs-rules");
    lan.succeed("up --vip 10.1.0.80 --vip 10.1.0.81 --interface eth0 --arp nftables");
    let nft = lan.real.command("nft").args(["list", "ruleset"]).run();
    let rules: Vec<String> = nft
        .expect("nft is installed")
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| line.starts_with("arp ") || line.starts_with("type "))
        .collect();
    assert_eq!(
        rules,
        [
            "type filter hook input priority filter; policy accept;",
            "arp daddr ip 10.1.0.80 drop",
            "arp daddr ip 10.1.0.81 drop",
            "type filter hook output priority filter; policy accept;",
            "arp saddr ip 10.1.0.80 arp saddr ip set 10.1.0.2",
            "arp saddr ip 10.1.0.81 arp saddr ip set 10.1.0.2",
        ]
    );
}
