use std::time::Duration;

use caribe_dataplane::{Difference, ExplainedService};
use caribe_model::{Forwarding, MacAddress, NextHop, Scheduler, ServerKey, ServiceKey};

use super::*;

fn question() -> Question {
    Question {
        protocol: Protocol::Tcp,
        client: "198.51.100.7:4000".parse().expect("an address"),
        vip: "192.0.2.1:80".parse().expect("an address"),
        tcp_flags: 2,
        payload: 0,
        interface: None,
    }
}

fn key(last: u8) -> ServerKey {
    ServerKey {
        address: [10, 0, 0, last].into(),
        port: 80,
    }
}

fn compared(last: u8, chosen: bool) -> Compared {
    Compared {
        key: key(last),
        weight: 1,
        active: last.into(),
        inactive: 0,
        overloaded: last == 3,
        chosen,
    }
}

fn explanation(choice: Choice) -> Explanation {
    Explanation {
        verdict: "forwarded_direct".to_owned(),
        meaning: "A client's packet sent to its server by direct routing.".to_owned(),
        fate: Fate::Forwarded,
        service: Some(ExplainedService {
            key: ServiceKey::Address {
                protocol: Protocol::Tcp,
                address: [192, 0, 2, 1].into(),
                port: 80,
            },
            mark: None,
            scheduler: Some(Scheduler::Wlc),
        }),
        connection: None,
        over: None,
        template: None,
        choice: Some(choice),
        makes: vec![Made::Connection],
        server: Some(ExplainedServer {
            key: key(2),
            port: 80,
            forwarding: Some(Forwarding::Direct),
            weight: 1,
            in_service: true,
            active: 2,
            inactive: 0,
            next_hop: Some(NextHop {
                interface: 3,
                source_mac: MacAddress([2, 0, 0, 0, 0, 1]),
                destination_mac: MacAddress([2, 0, 0, 0, 0, 9]),
                source_address: [10, 0, 0, 254].into(),
                mtu: 1500,
            }),
        }),
        changes: vec![Difference {
            field: "TTL".to_owned(),
            before: "64".to_owned(),
            after: "63".to_owned(),
        }],
    }
}

fn text(explanation: &Explanation) -> String {
    let question = &question();
    ExplanationText {
        question,
        explanation,
    }
    .to_string()
}

#[test]
fn a_new_connection_in_one_look() {
    let choice = Choice::Compared {
        servers: vec![compared(2, true), compared(3, false)],
    };
    assert_eq!(
        text(&explanation(choice)),
        "\
TCP from 198.51.100.7:4000 to 192.0.2.1:80, SYN
verdict     is forwarded: A client's packet sent to its server by direct routing. (forwarded_direct)
service     TCP 192.0.2.1:80, scheduler wlc
scheduler   compares, and takes the first of equals:
            > 10.0.0.2:80  weight 1, 2 active, 0 inactive
              10.0.0.3:80  weight 1, 3 active, 0 inactive, overloaded
server      10.0.0.2:80 by direct routing, port 80, weight 1
next hop    02:00:00:00:00:09 by interface 3, MTU 1500
makes       a connection
changes     TTL: 64 -> 63
"
    );
}

#[test]
fn who_is_chosen_is_listed_among_many() {
    let servers = (1..=40).map(|last| compared(last, last == 30)).collect();
    let said = text(&explanation(Choice::Compared { servers }));
    assert!(said.contains("> 10.0.0.30:80"), "{said}");
    assert!(said.contains("and 27 more"), "{said}");
}

#[test]
fn a_known_connection_needs_no_scheduler() {
    let mut explanation = explanation(Choice::Compared { servers: vec![] });
    explanation.choice = None;
    explanation.service = None;
    explanation.makes.clear();
    explanation.connection = Some(LiveConnection {
        protocol: 6,
        client: "198.51.100.7:4000".parse().expect("an address"),
        vip: "192.0.2.1:80".parse().expect("an address"),
        server: "10.0.0.2:80".parse().expect("an address"),
        state: "ESTABLISHED".to_owned(),
        forwarding: Forwarding::Direct,
        active: true,
        template: false,
        left: Duration::from_secs(899),
    });
    let said = text(&explanation);
    let line = "connection  198.51.100.7:4000 has 10.0.0.2:80, ESTABLISHED, 899 s left\n";
    assert!(said.contains(line), "{said}");
    assert!(!said.contains("scheduler"), "{said}");
}

#[test]
fn flags_have_names() {
    assert_eq!(flags(0x12), "SYN+ACK");
    assert_eq!(flags(0), "no flags");
}
