//! A real server that cannot be reached at the Ethernet level.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use caribe_lab::{UdpClient, wait};

use crate::bed::{Bed, network};
use crate::lvs_cf::{Balanced, LvsCf, Way};
use crate::spread::{ask, shares};

#[test]
fn a_server_without_a_neighbour_loses_only_its_own_share() {
    // By UDP nothing is checked by default: the server stays in the table.
    let services = [
        Balanced::udp4(Way::Direct),
        Balanced {
            udp: true,
            ..Balanced::tcp6(Way::Tunnel)
        },
    ];
    let file = LvsCf::rr(&services);
    let (net, alone) = network("neighbour", 1500);
    // The kernel notices sooner than after its usual half a minute.
    for family in ["ipv4", "ipv6"] {
        let neighbour = format!("net/{family}/neigh/eth0");
        for (key, value) in [
            ("base_reachable_time_ms", "1000"),
            ("delay_first_probe_time", "1"),
            ("retrans_time_ms", "200"),
        ] {
            net.director
                .sysctl(&format!("{neighbour}/{key}"), value)
                .expect("a parameter");
        }
    }
    // What is known already would be believed for its old time.
    net.director
        .command("ip")
        .args(["neigh", "flush", "all"])
        .run()
        .expect("flushed");
    let mut bed = Bed::on(net, alone, &file, 0);
    for service in services {
        let spread = ask(bed.client(), service, 6);
        assert_eq!(spread, shares(&[("web1", 2), ("web2", 2), ("web3", 2)]));
    }
    bed.servers[2].host.take_down("eth0").expect("down");
    let way = |bed: &Bed| {
        let status = bed.director.status();
        let ways = status.services.iter().map(|service| {
            let web3 = service.servers.iter().find(|server| server.name == "web3");
            let web3 = web3.expect("it is in the file");
            assert_eq!(web3.weight, Some(1), "it stays in the table");
            web3.next_hop.is_some()
        });
        ways.collect::<Vec<_>>()
    };
    wait::until(
        "the way to web3 to be lost",
        Duration::from_secs(30),
        || {
            let ways = way(&bed);
            (!ways.contains(&true))
                .then_some(())
                .ok_or(format!("{ways:?}"))
        },
    )
    .expect("the way is lost");

    for service in services {
        let before = bed.director.verdict("dropped_unreachable");
        let spread = ask_some(&bed, service, 12);
        let expected = [("web1", 4), ("web2", 4), ("", 4)];
        assert_eq!(
            spread,
            expected
                .map(|(name, count)| (name.to_owned(), count))
                .into(),
            "{service}"
        );
        let dropped = bed.director.verdict("dropped_unreachable") - before;
        assert_eq!(dropped, 4, "{service}: each is counted");
    }
    let shown = bed.director.ask(&["status"]).expect("a status");
    for service in services {
        let server = service.server(2).ip();
        assert!(
            shown.contains(&format!("the way to {server} is not known")),
            "{shown}"
        );
        let line = format!("real server {server} cannot be reached");
        let log = bed.director.log();
        assert!(log.contains(&line), "no `{line}` in:\n{log}");
    }

    bed.servers[2].host.bring_up("eth0").expect("up");
    // IPv6 addresses go with a link that goes down.
    let address: IpAddr = services[1].server(2).ip();
    let address = ipnet::IpNet::new(address, 64).expect("a prefix");
    bed.servers[2]
        .host
        .add_address("eth0", address)
        .expect("its address");
    bed.director
        .wait_until(Some("web3"), true, Duration::from_secs(20));
    for service in services {
        let spread = ask(bed.client(), service, 6);
        assert_eq!(spread, shares(&[("web1", 2), ("web2", 2), ("web3", 2)]));
    }
    bed.leave();
}

/// As [`ask`], where some may stay without an answer: those count under no name.
fn ask_some(bed: &Bed, service: Balanced, count: usize) -> BTreeMap<String, usize> {
    let mut spread = BTreeMap::new();
    for _ in 0..count {
        let flow = UdpClient::connect(bed.client(), service.place()).expect("a socket");
        let flow = flow
            .time_limit(Duration::from_millis(300))
            .expect("a limit");
        let server = match flow.exchange(b"anybody there?") {
            Ok(answer) => {
                let answer = String::from_utf8(answer).expect("text");
                answer.split(' ').next().expect("a name").to_owned()
            }
            Err(_) => String::new(),
        };
        *spread.entry(server).or_default() += 1;
    }
    spread
}
