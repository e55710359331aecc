//! Announcements on the wire, judged by tshark.

mod segment;

use caribe_lab::Capture;
use caribe_network::NetworkError;
use segment::{Segment, inside, ip};

const FIELDS: [&str; 13] = [
    "eth.dst",
    "arp.opcode",
    "arp.isgratuitous",
    "arp.src.hw_mac",
    "arp.src.proto_ipv4",
    "arp.dst.proto_ipv4",
    "icmpv6.type",
    "icmpv6.checksum.status",
    "icmpv6.nd.na.target_address",
    "icmpv6.nd.na.flag.o",
    "icmpv6.nd.na.flag.s",
    "icmpv6.opt.linkaddr",
    "_ws.malformed",
];

#[test]
fn announcements_are_well_formed_on_the_wire() {
    let segment = Segment::bare("net-announce");
    ip(&segment.ours, "link set eth0 address 02:00:00:00:00:80");
    let filter = "arp or (icmp6 and src host 2001:db8::80)";
    let capture = Capture::start(&segment.peer, "eth0", filter).expect("tshark");
    inside(&segment.ours, async |network| {
        for vip in ["192.0.2.80", "2001:db8::80"] {
            let vip = vip.parse().expect("an address");
            network.announce("eth0", vip).await.expect("announced");
        }
    });
    let heard: Vec<Vec<String>> = capture
        .finish(&FIELDS)
        .expect("decoded")
        .iter()
        .map(|packet| {
            let values = FIELDS.iter().filter_map(|field| packet.get(*field));
            values.map(|values| values.join(",")).collect()
        })
        .collect();
    let arp = |operation: &str| {
        let words = [
            "ff:ff:ff:ff:ff:ff",
            operation,
            "1",
            "02:00:00:00:00:80",
            "192.0.2.80",
            "192.0.2.80",
        ];
        words.map(str::to_owned).to_vec()
    };
    let advertisement = [
        "33:33:00:00:00:01",
        "136",
        "1",
        "2001:db8::80",
        "1",
        "0",
        "02:00:00:00:00:80",
    ];
    let advertisement = advertisement.map(str::to_owned).to_vec();
    assert_eq!(heard, [arp("1"), arp("2"), advertisement]);
}

#[test]
fn an_interface_that_cannot_announce_is_refused_with_the_reason() {
    let segment = Segment::bare("net-mute");
    segment.ours.take_down("eth0").expect("down");
    inside(&segment.ours, async |network| {
        let vip = "192.0.2.80".parse().expect("an address");
        for (interface, reason) in [("lo", "no MAC address"), ("eth0", "is down")] {
            let error = network.announce(interface, vip).await.expect_err("refused");
            assert!(matches!(error, NetworkError::Unsuitable { .. }));
            assert!(error.to_string().contains(reason), "{error}");
        }
    });
}
