//! Announcements on the wire, judged by tshark.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use caribe_network::{Network, NetworkError};
use rtnetlink::LinkUnspec;
use support::Namespace;

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

/// A tshark on `b0` that ends after `count` frames about the VIPs, or after ten seconds.
fn capture(namespace: &Namespace, count: usize) -> Child {
    namespace.run(move || async move {
        let mut tshark = Command::new("tshark");
        tshark
            .args(["-i", "b0", "-l", "-n", "-a", "duration:10", "-T", "fields"])
            .args(["-c", &count.to_string()])
            .args(["-o", "ipv6.use_geoip:FALSE", "-E", "separator=|"])
            .args(["-f", "arp or (icmp6 and src host 2001:db8::80)"]);
        for field in FIELDS {
            tshark.args(["-e", field]);
        }
        let mut child = tshark
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tshark is installed");
        let stderr = child.stderr.take().expect("piped");
        let mut lines = BufReader::new(stderr).lines();
        let ready = lines
            .by_ref()
            .map(|line| line.expect("text"))
            .any(|line| line.contains("Capturing on"));
        assert!(ready, "tshark captures");
        // It says so a little before the socket is open.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        std::thread::spawn(move || lines.count());
        child
    })
}

fn captured(mut tshark: Child) -> Vec<String> {
    let mut output = String::new();
    tshark
        .stdout
        .take()
        .expect("piped")
        .read_to_string(&mut output)
        .expect("text");
    assert!(tshark.wait().expect("ended").success());
    output.lines().map(str::to_owned).collect()
}

#[test]
fn announcements_are_well_formed_on_the_wire() {
    let (ours, peer) = (Namespace::new(), Namespace::new());
    ours.join("a0", &peer, "b0");
    ours.change_link(
        LinkUnspec::new_with_name("a0")
            .address(vec![0x02, 0, 0, 0, 0, 0x80])
            .build(),
    );
    let tshark = capture(&peer, 3);
    ours.run(|| async {
        let (network, _changes) = Network::connect().expect("netlink");
        for vip in ["192.0.2.80", "2001:db8::80"] {
            let vip = vip.parse().expect("an address");
            network.announce("a0", vip).await.expect("announced");
        }
    });
    let arp = |operation| {
        format!("ff:ff:ff:ff:ff:ff|{operation}|1|02:00:00:00:00:80|192.0.2.80|192.0.2.80|||||||")
    };
    let advertisement =
        "33:33:00:00:00:01||||||136|1|2001:db8::80|1|0|02:00:00:00:00:80|".to_owned();
    assert_eq!(captured(tshark), [arp(1), arp(2), advertisement]);
}

#[test]
fn an_interface_that_cannot_announce_is_refused_with_the_reason() {
    let (ours, peer) = (Namespace::new(), Namespace::new());
    ours.join("a0", &peer, "b0");
    ours.change_link(LinkUnspec::new_with_name("a0").down().build());
    ours.run(|| async {
        let (network, _changes) = Network::connect().expect("netlink");
        let vip = "192.0.2.80".parse().expect("an address");
        for (interface, reason) in [("lo", "no MAC address"), ("a0", "is down")] {
            let error = network.announce(interface, vip).await.expect_err("refused");
            assert!(matches!(error, NetworkError::Unsuitable { .. }));
            assert!(error.to_string().contains(reason), "{error}");
        }
    });
}
