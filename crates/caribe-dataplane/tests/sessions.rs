//! Persistence, thresholds and removed servers over the whole data plane: table in, packets
//! through the built program, sweeps, adoption.

mod support;

use std::net::IpAddr;
use std::num::NonZeroU32;

use caribe_dataplane::xdp::{LiveConnection, XdpDataplane};
use caribe_dataplane::{Applied, Dataplane as _, LiveServer, LiveService, Traffic};
use caribe_model::{
    Defence, Family, Forwarding, MarkRule, Netmask, Persistence, Policy, PortRange, Protocol,
    ReuseMode, Scheduler, ServerKey, ServiceKey, Table, Thresholds, Tuning,
};
use support::*;

const VIP: &str = "192.0.2.1:80";
const SERVERS: [(&str, u32); 2] = [("10.0.0.2:80", 1), ("10.0.0.3:80", 1)];

/// A table of one service, changed.
fn changed(vip: ServiceKey, change: impl FnOnce(&mut caribe_model::Service)) -> Table {
    let mut table = table(Forwarding::Direct, &[(vip, Scheduler::Rr, &SERVERS)]);
    let mut service = table.remove(&vip).expect("the service");
    change(&mut service);
    table.insert(vip, service).expect("a legal service");
    table
}

fn persistent(timeout: u32) -> Table {
    changed(tcp(VIP), |service| {
        service.persistence = Some(Persistence {
            timeout,
            netmask: Netmask::host(Family::V4),
        });
    })
}

/// The server that a client's connection from this port gets.
fn opens(dataplane: &XdpDataplane, client: &str, port: u16) -> Option<u8> {
    let client = format!("{client}:{port}");
    send(dataplane, &frame(Protocol::Tcp, &client, VIP, SYN))
}

fn templates(dataplane: &XdpDataplane) -> Vec<LiveConnection> {
    let connections = dataplane.connections().expect("list");
    connections
        .filter(|connection| connection.template)
        .collect()
}

fn service(dataplane: &XdpDataplane) -> LiveService {
    snapshot(dataplane).services.remove(0)
}

fn server(dataplane: &XdpDataplane, key: &str) -> LiveServer {
    let mut servers = service(dataplane).servers;
    let key: ServerKey = server_key(key);
    let at = servers.iter().position(|server| server.key == key);
    servers.remove(at.expect("the server is in service"))
}

#[test]
fn case_109_templates_are_listed_and_counted() {
    let private = Private::enter();
    let mut dataplane = private.open();
    apply(&mut dataplane, &persistent(60));
    let first = opens(&dataplane, "198.51.100.7", 1000).expect("a server");
    assert_eq!(opens(&dataplane, "198.51.100.7", 1001), Some(first));
    assert_ne!(opens(&dataplane, "198.51.100.8", 1000), Some(first));
    dataplane.sweep().expect("sweep");
    let listed = templates(&dataplane);
    assert_eq!(listed.len(), 2);
    let of_first = listed
        .iter()
        .find(|template| template.client == socket("198.51.100.7:0"))
        .expect("the client has a template");
    assert_eq!(of_first.vip, socket(VIP));
    assert_eq!(of_first.server, socket(&format!("10.0.0.{first}:80")));
    assert_eq!((of_first.protocol, of_first.state.as_str()), (6, "NONE"));
    assert!((58..=60).contains(&of_first.left.as_secs()), "{of_first:?}");
    for live in service(&dataplane).servers {
        assert_eq!(live.persistent, 1, "{live:?}");
    }
    // Three connections and two templates.
    assert_eq!(snapshot(&dataplane).connections, 5);

    // Counted and known after an adoption as well.
    let before = service(&dataplane);
    drop(dataplane);
    let mut second = private.open();
    assert_eq!(
        second.apply(&persistent(60)).expect("apply"),
        Applied { changes: 0 }
    );
    second.sweep().expect("sweep");
    assert_eq!(service(&second), before);
    assert_eq!(opens(&second, "198.51.100.7", 1002), Some(first));
    second.remove().expect("remove");
}

#[test]
fn case_112_the_ports_of_a_mark_share_a_server() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let mark = NonZeroU32::new(7).expect("not zero");
    let key = ServiceKey::Mark {
        family: Family::V4,
        mark,
    };
    let mut table = changed(key, |service| {
        service.persistence = Some(Persistence {
            timeout: 60,
            netmask: Netmask::host(Family::V4),
        });
    });
    let ports = [80, 443].map(|port| PortRange::new(port, port).expect("one port"));
    let rule = MarkRule {
        mark,
        address: socket(VIP).ip(),
        prefix: 32,
        protocol: Some(Protocol::Tcp),
        ports: ports.to_vec(),
    };
    table.set_marks(vec![rule]).expect("a legal rule");
    apply(&mut dataplane, &table);
    let to = |client: &str, vip: &str| send(&dataplane, &frame(Protocol::Tcp, client, vip, SYN));
    let first = to("198.51.100.7:1000", "192.0.2.1:80").expect("a server");
    assert_eq!(to("198.51.100.7:1001", "192.0.2.1:443"), Some(first));
    assert_ne!(to("198.51.100.8:1000", "192.0.2.1:443"), Some(first));
    assert_eq!(to("198.51.100.7:1002", "192.0.2.1:8080"), None);
    let listed = templates(&dataplane);
    assert_eq!(listed.len(), 2);
    for template in listed {
        assert_eq!((template.protocol, template.vip), (0, socket("0.0.0.7:0")));
        assert_eq!(template.server.port(), 0);
    }
    dataplane.remove().expect("remove");
}

#[test]
fn case_114_a_template_outlives_its_time_with_its_connections() {
    let private = Private::enter();
    let mut dataplane = private.open();
    apply(&mut dataplane, &persistent(1));
    let first = opens(&dataplane, "198.51.100.7", 1000).expect("a server");
    wait(1300);
    dataplane.sweep().expect("sweep");
    let [template] = &templates(&dataplane)[..] else {
        panic!("not one template: {:?}", templates(&dataplane));
    };
    let left = template.left.as_secs();
    assert!((58..=60).contains(&left), "kept on by a minute: {left} s");
    assert_eq!(opens(&dataplane, "198.51.100.7", 1001), Some(first));

    // Without connections it goes when its time is over.
    let end = |port| {
        let client = format!("198.51.100.7:{port}");
        let reset = frame(Protocol::Tcp, &client, VIP, 0x04);
        send(&dataplane, &reset)
    };
    assert_eq!((end(1000), end(1001)), (Some(first), Some(first)));
    // The connections would stay for ten seconds: their server goes, and they with it.
    let table = changed(tcp(VIP), |service| {
        service.persistence = None;
        service.policy.expire_nodest_conn = true;
        service.servers.clear();
    });
    apply(&mut dataplane, &table);
    dataplane.sweep().expect("sweep");
    assert_eq!(dataplane.connections().expect("list").count(), 0);
    dataplane.remove().expect("remove");
}

#[test]
fn a_template_without_connections_goes_when_its_time_is_over() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let vip = udp(VIP);
    let table = changed(vip, |service| {
        service.one_packet = true;
        service.persistence = Some(Persistence {
            timeout: 1,
            netmask: Netmask::host(Family::V4),
        });
    });
    apply(&mut dataplane, &table);
    let datagram = frame(Protocol::Udp, "198.51.100.7:1000", VIP, 0);
    let first = send(&dataplane, &datagram).expect("a server");
    for _ in 0..3 {
        assert_eq!(send(&dataplane, &datagram), Some(first));
    }
    assert_eq!(dataplane.connections().expect("list").count(), 1);
    wait(1300);
    assert_eq!(dataplane.sweep().expect("sweep").removed, 1);
    assert_ne!(send(&dataplane, &datagram), Some(first));
    dataplane.remove().expect("remove");
}

#[test]
fn case_115_a_removed_server_that_returns_has_its_connections() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let all = changed(tcp(VIP), |_| {});
    apply(&mut dataplane, &all);
    let first = opens(&dataplane, "198.51.100.7", 1000).expect("a server");
    let gone = format!("10.0.0.{first}:80");
    let before = server(&dataplane, &gone);
    assert_eq!(before.active, 1);
    let without = changed(tcp(VIP), |service| {
        service
            .servers
            .retain(|server| server.key != server_key(&gone));
    });
    apply(&mut dataplane, &without);
    dataplane.sweep().expect("sweep");
    let ack = frame(Protocol::Tcp, "198.51.100.7:1000", VIP, ACK);
    assert_eq!(send(&dataplane, &ack), None);
    assert_eq!(verdict(&snapshot(&dataplane), "dropped_server_gone"), 1);
    apply(&mut dataplane, &all);
    assert_eq!(server(&dataplane, &gone).traffic, before.traffic);
    assert_eq!(send(&dataplane, &ack), Some(first));
    let after = server(&dataplane, &gone);
    assert_eq!((after.active, after.traffic.connections), (1, 1));
    dataplane.remove().expect("remove");
}

#[test]
fn case_116_with_expire_nodest_conn_its_connections_go() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let expiring = |keep: &[&str]| {
        changed(tcp(VIP), |service| {
            service.policy.expire_nodest_conn = true;
            service
                .servers
                .retain(|server| keep.iter().any(|key| server.key == server_key(key)));
        })
    };
    apply(&mut dataplane, &expiring(&["10.0.0.2:80", "10.0.0.3:80"]));
    for port in 1000..1004 {
        opens(&dataplane, "198.51.100.7", port).expect("a server");
    }
    apply(&mut dataplane, &expiring(&["10.0.0.3:80"]));
    assert_eq!(dataplane.sweep().expect("sweep").removed, 2);
    let left: Vec<IpAddr> = dataplane
        .connections()
        .expect("list")
        .map(|connection| connection.server.ip())
        .collect();
    assert_eq!(left, [socket("10.0.0.3:80").ip(); 2]);
    // A whole service goes the same way.
    apply(&mut dataplane, &Table::default());
    assert_eq!(dataplane.sweep().expect("sweep").removed, 2);
    assert_eq!(snapshot(&dataplane).connections, 0);
    dataplane.remove().expect("remove");
}

#[test]
fn thresholds_hold_and_an_edit_lifts_them() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let bounded = |upper, lower| {
        changed(tcp(VIP), |service| {
            service.servers.truncate(1);
            service.servers[0].thresholds = Thresholds::new(upper, lower).expect("legal");
        })
    };
    apply(&mut dataplane, &bounded(2, 1));
    let live = |dataplane: &XdpDataplane| server(dataplane, "10.0.0.2:80");
    assert_eq!(live(&dataplane).thresholds.upper(), 2);
    let mut port = 1000..;
    let mut next = |dataplane: &XdpDataplane| {
        opens(
            dataplane,
            "198.51.100.7",
            port.next().expect("ports are left"),
        )
    };
    assert_eq!((next(&dataplane), next(&dataplane)), (Some(2), Some(2)));
    assert!(live(&dataplane).overloaded);
    assert_eq!(next(&dataplane), None);
    // A bound that is no higher lifts nothing; one that is does.
    apply(&mut dataplane, &bounded(1, 0));
    assert_eq!(next(&dataplane), None);
    apply(&mut dataplane, &bounded(3, 0));
    assert!(!live(&dataplane).overloaded);
    assert_eq!((next(&dataplane), next(&dataplane)), (Some(2), None));
    drop(dataplane);
    let mut dataplane = private.open();
    assert_eq!(
        dataplane.apply(&bounded(3, 0)).expect("apply"),
        Applied { changes: 0 }
    );
    assert!(live(&dataplane).overloaded, "it still is");
    assert_eq!(next(&dataplane), None);
    apply(&mut dataplane, &bounded(0, 0));
    assert_eq!(next(&dataplane), Some(2));
    // A bound that it has reached already holds at once.
    apply(&mut dataplane, &bounded(4, 0));
    assert!(live(&dataplane).overloaded);
    assert_eq!(next(&dataplane), None);
    // Between the two bounds it stays what it was.
    apply(&mut dataplane, &bounded(5, 0));
    assert!(live(&dataplane).overloaded);
    apply(&mut dataplane, &bounded(6, 5));
    assert!(!live(&dataplane).overloaded);
    assert_eq!((next(&dataplane), next(&dataplane)), (Some(2), Some(2)));
    assert_eq!(next(&dataplane), None);
    dataplane.remove().expect("remove");
}

#[test]
fn what_a_service_asks_for_is_shown_and_adopted() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let policy = Policy {
        expire_quiescent_template: true,
        conn_reuse_mode: ReuseMode::from_bits(3).expect("below 4"),
        sloppy_tcp: true,
        secure_tcp: true,
        ..Policy::default()
    };
    let persistence = Persistence {
        timeout: 7,
        netmask: Netmask::V4([255, 0, 255, 0].into()),
    };
    let table = changed(tcp(VIP), |service| {
        service.policy = policy;
        service.persistence = Some(persistence);
    });
    apply(&mut dataplane, &table);
    let shown = service(&dataplane);
    assert_eq!(
        (shown.policy, shown.persistence),
        (policy, Some(persistence))
    );
    drop(dataplane);
    let mut dataplane = private.open();
    assert_eq!(service(&dataplane), shown);
    assert_eq!(
        dataplane.apply(&table).expect("apply"),
        Applied { changes: 0 }
    );
    dataplane.remove().expect("remove");
}

#[test]
fn case_124_drop_entry_thins_embryonic_connections_out() {
    let private = Private::enter();
    let mut dataplane = private.open();
    apply(&mut dataplane, &changed(tcp(VIP), |_| {}));
    for port in 1000..1600 {
        opens(&dataplane, "198.51.100.7", port).expect("a server");
    }
    for port in 1000..1010 {
        let client = format!("198.51.100.7:{port}");
        send(&dataplane, &frame(Protocol::Tcp, &client, VIP, ACK)).expect("a server");
    }
    dataplane.sweep().expect("sweep");
    assert_eq!(snapshot(&dataplane).connections, 600);
    dataplane
        .set_tuning(Tuning {
            drop_entry: Defence::On,
            ..Tuning::default()
        })
        .expect("tune");
    // A 32nd of the table in a second of the clock: a second and a half thin it by a twentieth.
    wait(1500);
    let thinned = dataplane.sweep().expect("sweep").removed;
    assert!((1..=150).contains(&thinned), "{thinned} of 590 in a sweep");
    for _ in 0..40 {
        wait(100);
        dataplane.sweep().expect("sweep");
    }
    let left = snapshot(&dataplane).connections;
    assert!((10..590).contains(&left), "{left} left");
    let states: Vec<String> = dataplane
        .connections()
        .expect("list")
        .map(|connection| connection.state)
        .filter(|state| state == "ESTABLISHED")
        .collect();
    assert_eq!(states.len(), 10, "established ones stay");
    dataplane.remove().expect("remove");
}

/// What went to the servers of a service that is gone is not the traffic of another one with its
/// key.
#[test]
fn a_service_that_comes_back_begins_with_no_traffic() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let of =
        |servers: &[(&str, u32)]| table(Forwarding::Direct, &[(tcp(VIP), Scheduler::Rr, servers)]);
    apply(&mut dataplane, &of(&SERVERS));
    opens(&dataplane, "198.51.100.7", 1000).expect("a server");
    assert_eq!(service(&dataplane).traffic.connections, 1);
    // A server that leaves its service leaves its traffic there.
    apply(&mut dataplane, &of(&[]));
    assert_eq!(service(&dataplane).traffic.connections, 1);
    apply(&mut dataplane, &Table::default());
    apply(&mut dataplane, &of(&[("10.0.0.4:80", 1)]));
    assert_eq!(service(&dataplane).traffic, Traffic::default());
    // A server that comes back counts on, as in IPVS.
    apply(&mut dataplane, &of(&SERVERS));
    assert_eq!(service(&dataplane).traffic.connections, 1);
}
