//! Checks on the way of the data: what only they can find.

use caribe_director::{ServerState, ServerStatus};
use caribe_lab::{Curl, wait};

use crate::bed::{Bed, prepare, real_server};
use crate::director::SOON;
use crate::lvs_cf::{Balanced, LvsCf, Way};

/// A service of each method, IPv6 and a tunnel of the other family among them.
const SERVICES: [Balanced; 7] = [
    Balanced::tcp4(Way::Direct),
    Balanced::tcp6(Way::Direct),
    Balanced::tcp4(Way::Tunnel),
    Balanced::tcp4(Way::TunnelOver6),
    GRE,
    GUE,
    Balanced::tcp4(Way::Nat),
];
const GRE: Balanced = Balanced::tcp6(Way::Tunnel);
const GUE: Balanced = Balanced::tcp6(Way::TunnelOver6);

/// Each server is checked by its own address (`http`) and through the VIP (`http-2`).
fn file() -> LvsCf {
    let mut file = LvsCf::rr(&SERVICES);
    for block in &mut file.blocks {
        let timing = "interval = 1\n timeout = 1\n rise = 1\n fall = 2\n fast_interval = 1\n";
        let service = block.service;
        // The way to a server of the other family has no address to send from.
        let source = if service.way == Way::TunnelOver6 && !service.v6 {
            "source = 10.1.0.1\n"
        } else {
            ""
        };
        let tunnel = match service {
            GRE => "tunnel = gre\n tunnel_checksum = full\n",
            GUE => "tunnel = gue\n tunnel_port = 6080\n tunnel_checksum = remote\n",
            _ => "",
        };
        block.more = format!(
            "slow_start = off\n monitor = none\n {tunnel} monitor http {{\n {timing} }}\n \
             monitor http {{\n through = vip\n {source} {timing} }}"
        );
    }
    file
}

/// What a service says of its first server.
fn first(bed: &Bed, service: Balanced) -> ServerStatus {
    let status = bed.director.status();
    let name = service.to_string();
    let service = status.services.into_iter().find(|found| found.name == name);
    service.expect("the service is there").servers.remove(0)
}

/// Waits until the first server is out of a service, and proves that it is the check through the
/// VIP which says so, and it alone.
fn until_found(bed: &Bed, service: Balanced) {
    wait::until(format!("web1 to be out of {service}"), SOON, || {
        let server = first(bed, service);
        let out = server.state == ServerState::Down && server.weight.is_none();
        out.then_some(()).ok_or(format!("{server:?}"))
    })
    .expect("it is found");
    let server = first(bed, service);
    let reason = server.reason.unwrap_or_default();
    assert!(
        reason.starts_with("http-2: L4TOUT: CONNECT to "),
        "{reason}"
    );
    assert!(reason.contains(&service.place().to_string()), "{reason}");
    let plain = &server.watch.monitors[0];
    assert_eq!((plain.name.as_str(), plain.passed), ("http", Some(true)));
}

/// Requests to a VIP, all of which must be answered.
fn all_is_well(bed: &Bed, service: Balanced) {
    let burst = Curl::on(bed.client()).burst(&service.url(), 12, 1);
    let burst = burst.expect("curl runs");
    assert!(burst.failures.is_empty(), "{service}: {:?}", burst.failures);
}

#[test]
fn only_a_check_through_the_vip_finds_what_keeps_data_from_a_server() {
    let file = file();
    let mut bed = Bed::start("through", &file);
    let [closed @ .., nat] = SERVICES;
    for service in SERVICES {
        all_is_well(&bed, service);
    }
    // No VIP on the server any more, and nothing that opens tunnels.
    let web1 = bed.servers[0].host.clone();
    real_server(&bed.net.lab, &web1, "down")
        .run()
        .expect("the real server is as it was");
    for service in closed {
        until_found(&bed, service);
        all_is_well(&bed, service);
    }
    // A NAT server whose way back to clients is lost; to the director it still answers.
    assert_eq!(first(&bed, nat).state, ServerState::Up);
    let route = |words: &str| {
        let words = format!("route {words} table 100");
        let ip = web1.command("ip").args(words.split(' ')).run();
        ip.unwrap_or_else(|error| panic!("{words}: {error}"));
    };
    route("add 10.2.0.0/24 dev eth1");
    route("replace unreachable default");
    until_found(&bed, nat);
    all_is_well(&bed, nat);
    route("replace default via 10.2.0.1");
    prepare(&bed.net.lab, &web1, 0, &file);
    bed.director.wait_until(None, true, SOON);
    for service in SERVICES {
        all_is_well(&bed, service);
    }
    // The probes were no connections of the data plane, and left nothing when it was killed.
    bed.director.kill();
    bed.director.launch(&[]);
    bed.director.wait_until(None, true, SOON);
    bed.leave();
}
