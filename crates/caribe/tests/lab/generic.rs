//! Interfaces without XDP in their driver.

use std::time::Duration;

use caribe_lab::{Curl, Digest, Payload};

use crate::bed::{Bed, network};
use crate::lvs_cf::{Balanced, LvsCf, Way};
use crate::spread::{ask, shares};

#[test]
fn where_the_driver_has_no_xdp_the_stack_does_it() {
    // veth takes no XDP program when a packet of the MTU needs more than a page.
    let (net, alone) = network("generic", 9000);
    let file = LvsCf::rr(&Balanced::every());
    let bed = Bed::on(net, alone, &file, 100_000_000);
    let interfaces = bed.director.status().dataplane.interfaces;
    assert_eq!(interfaces.len(), 2);
    for interface in &interfaces {
        assert_eq!(interface.mode, "generic", "{interface:?}");
    }
    let shown = bed.director.ask(&["status"]).expect("a status");
    assert!(
        shown.contains("data plane XDP on eth0 (generic), eth1 (generic)\n"),
        "{shown}"
    );
    let log = bed.director.log();
    assert!(log.contains("runs in the network stack, slower"), "{log}");
    for service in file.services() {
        assert_eq!(
            ask(bed.client(), service, 12),
            shares(&[("web1", 4), ("web2", 4), ("web3", 4)]),
            "{service}"
        );
    }
    let body = bed.body.as_ref().expect("a body");
    let curl = Curl::on(bed.client()).time_limit(Duration::from_secs(60));
    for service in Balanced::every_tcp() {
        let got = curl.digest(&format!("{}big", service.url()));
        assert_eq!(&got.expect("a body"), body.digest(), "{service}");
    }
    for service in Balanced::every_tcp() {
        upload(&bed, &curl, service, body);
    }
    bed.leave();
}

#[test]
fn a_macvlan_balances_in_the_stack() {
    let (net, alone) = network("macvlan", 1500);
    // The director's place on the lan becomes a device on top of eth0.
    for words in [
        "address flush dev eth0",
        "link add link eth0 name mv0 type macvlan mode bridge",
        "address add 10.1.0.1/24 dev mv0",
        "address add fd00:1::1/64 dev mv0 nodad",
        "link set mv0 up",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        net.director
            .command("ip")
            .args(&words)
            .run()
            .expect(words[1]);
    }
    // Where packets come in, below mv0, they must not be merged: too big for the way on.
    let gro = net
        .director
        .command("ethtool")
        .args(["-K", "eth0", "gro", "off"]);
    gro.run().expect("no GRO");
    // eth0 is not to answer for the addresses of mv0.
    net.director
        .sysctl("net/ipv4/conf/eth0/arp_ignore", "1")
        .expect("a parameter");
    let services = [
        Balanced::tcp4(Way::Direct),
        Balanced::tcp6(Way::Direct),
        Balanced::tcp4(Way::Tunnel),
        Balanced::tcp4(Way::Nat),
    ];
    let mut file = LvsCf::rr(&services);
    file.interface = "mv0";
    let bed = Bed::on(net, alone, &file, 0);
    let interfaces = bed.director.status().dataplane.interfaces;
    let modes: Vec<_> = interfaces
        .iter()
        .map(|interface| (interface.name.as_str(), interface.mode.as_str()))
        .collect();
    // eth1 could do better, but could not send to mv0 then.
    assert_eq!(modes, [("eth1", "generic"), ("mv0", "generic")]);
    for service in services {
        assert_eq!(
            ask(bed.client(), service, 12),
            shares(&[("web1", 4), ("web2", 4), ("web3", 4)]),
            "{service}"
        );
    }
    let path = bed.net.lab.directory().join("upload");
    let body = Payload::create(&path, 50_000_000).expect("a body");
    let curl = Curl::on(bed.client()).time_limit(Duration::from_secs(20));
    for service in services {
        upload(&bed, &curl, service, &body);
    }
    bed.leave();
}

/// Puts a body through a service and looks for it on the servers.
fn upload(bed: &Bed, curl: &Curl, service: Balanced, body: &Payload) {
    let name = service.to_string();
    curl.put(&format!("{}upload/{name}", service.url()), body.path())
        .unwrap_or_else(|error| panic!("{service}: {error}"));
    let files: Vec<_> = bed
        .servers
        .iter()
        .filter_map(|server| server.nginx.as_ref())
        .map(|nginx| nginx.upload(&name))
        .filter(|path| path.exists())
        .collect();
    let [file] = &files[..] else {
        panic!("{service}: uploaded to {files:?}");
    };
    let mut uploaded = std::fs::File::open(file).expect("the upload");
    let got = Digest::of(&mut uploaded).expect("the upload is read");
    assert_eq!(&got, body.digest(), "{service}");
    std::fs::remove_file(file).expect("the upload is removed");
}
