//! Which NAT servers are told of connections that are no more (`nat_icmp_send`): those in service,
//! while it is asked for. Needs root.

mod support;

use caribe_dataplane::Dataplane as _;
use caribe_dataplane::xdp::XdpDataplane;
use caribe_dataplane::xdp::probe::Action;
use caribe_model::{Forwarding, Protocol, Scheduler, Table, Tuning};
use support::{ACK, Private, apply, frame, table, tcp};

const VIP: &str = "192.0.2.80:80";
const CLIENT: &str = "198.51.100.7:40000";
const SERVER: &str = "10.0.0.2:8080";

#[test]
fn those_in_service_are_told_while_it_is_asked_for() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let by = |forwarding| {
        let lines = [(tcp(VIP), Scheduler::Rr, &[(SERVER, 1)][..])];
        table(forwarding, &lines)
    };
    apply(&mut dataplane, &by(Forwarding::Nat));
    assert_eq!(stray(&dataplane), Action::Pass, "IPVS's default");
    send(&mut dataplane, true);
    assert_eq!(stray(&dataplane), Action::Transmit);
    apply(&mut dataplane, &by(Forwarding::Direct));
    assert_eq!(stray(&dataplane), Action::Pass, "no NAT server any more");
    apply(&mut dataplane, &by(Forwarding::Nat));
    assert_eq!(stray(&dataplane), Action::Transmit);

    // Over the death of a director.
    drop(dataplane);
    let mut dataplane = private.open();
    assert_eq!(stray(&dataplane), Action::Transmit, "nothing stops");
    send(&mut dataplane, true);
    apply(&mut dataplane, &Table::default());
    assert_eq!(stray(&dataplane), Action::Pass, "the server is gone");
    apply(&mut dataplane, &by(Forwarding::Nat));
    assert_eq!(stray(&dataplane), Action::Transmit);
    send(&mut dataplane, false);
    assert_eq!(stray(&dataplane), Action::Pass);
}

fn send(dataplane: &mut XdpDataplane, nat_icmp_send: bool) {
    let tuning = Tuning {
        nat_icmp_send,
        ..Tuning::default()
    };
    dataplane.set_tuning(tuning).expect("tune");
}

/// What becomes of a packet of the server that belongs to no connection.
fn stray(dataplane: &XdpDataplane) -> Action {
    let frame = frame(Protocol::Tcp, SERVER, CLIENT, ACK);
    dataplane.probe(&frame, None).expect("probe").action
}
