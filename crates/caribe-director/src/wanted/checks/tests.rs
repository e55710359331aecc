use caribe_config::config::FloatingAddress;
use caribe_health::probe::ssh::SshCheck;

use super::*;

fn words(line: &str) -> Words {
    Words::new(line.split(' ').map(str::to_owned).collect()).expect("a program")
}

/// The check of a service with these settings; it is of port 80.
fn check(protocol: Protocol, change: impl FnOnce(&mut config::Monitor)) -> Option<Check> {
    let address = FloatingAddress {
        address: [192, 0, 2, 1].into(),
        interface: "eth0".to_owned(),
        label: "eth0:1".to_owned(),
        prefix: 32,
    };
    let mut block = VirtualService::new("web".to_owned(), address);
    block.protocol = protocol;
    block.port = 80;
    change(&mut block.monitor);
    piranha(&block).expect("a check")
}

fn kind(protocol: Protocol, change: impl FnOnce(&mut config::Monitor)) -> Option<&'static str> {
    check(protocol, change).map(|check| check.kind())
}

#[test]
fn a_service_is_checked_as_piranha_did_unless_it_says_otherwise() {
    let [tcp, udp, sctp] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    // Port 80 is taken for a web server's, if nothing is said.
    assert_eq!(kind(tcp, |_| ()), Some("send-expect"));
    assert_eq!(kind(tcp, |it| it.kind = MonitorKind::Tcp), Some("tcp"));
    assert_eq!(kind(udp, |it| it.kind = MonitorKind::Tcp), Some("tcp"));
    assert_eq!(kind(udp, |_| ()), Some("udp"));
    assert_eq!(kind(tcp, |it| it.kind = MonitorKind::None), None);
    assert_eq!(kind(sctp, |_| ()), Some("ping"));
    let says = |it: &mut config::Monitor| it.send = Some(b"hello".to_vec());
    assert_eq!(kind(sctp, says), Some("ping"));
    assert_eq!(kind(tcp, says), Some("send-expect"));
    let runs = |it: &mut config::Monitor| {
        it.send_program = Some(words("/bin/check %h"));
        it.expect = Some("OK".to_owned());
    };
    for protocol in [tcp, udp, sctp] {
        assert_eq!(kind(protocol, runs), Some("program"));
    }
    let neither = |it: &mut config::Monitor| {
        runs(it);
        it.kind = MonitorKind::None;
    };
    assert_eq!(kind(tcp, neither), None);
}

#[test]
fn a_tcp_block_connects_as_far_as_it_says() {
    let tcp = |send: Option<&[u8]>| Probe::Tcp {
        send: send.map(<[u8]>::to_vec),
        expect: None,
    };
    let orderly = |orderly| Ok(Check::Tcp(TcpCheck { orderly }));
    assert_eq!(of_block(&Probe::Syn), orderly(false));
    assert_eq!(of_block(&tcp(None)), orderly(true));
    let talks = of_block(&tcp(Some(b"hello"))).expect("a check");
    assert_eq!(talks.kind(), "send-expect");
}

#[test]
fn ssh_asks_nobody_anything_and_other_shells_are_run_as_they_are() {
    let by = |shell: &str| {
        load(&LoadMonitor::Uptime {
            shell: words(shell),
        })
    };
    assert_eq!(by("ssh"), Ok(Check::Ssh(SshCheck::default())));
    let Ok(Check::Program(check)) = by("rsh -n") else {
        panic!("no program");
    };
    let server = "192.0.2.9:80".parse().expect("an address");
    assert_eq!(
        check.command.expand(server).join(" "),
        "rsh -n 192.0.2.9 uptime"
    );
    assert_eq!(check.verdict, ProgramVerdict::Load);
}
