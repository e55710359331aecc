//! Cases 46 to 53, and 61 to 63: listings.

use caribe_ipvsadm::{
    Connection, ConnectionProtocol, EngineData, Protocol, Rates, ServiceId, Statistics,
};

use crate::kernel::Memory;

/// The eight services that the expected listings show.
pub(crate) fn eight_services() -> Memory {
    let mut table = Memory::new();
    for words in [
        "-A -f 8 -6 -s mh -b mh-port -p -M 64",
        "-a -f 8 -6 -r [2001:db8::10]:0",
        "-A -f 7 -s wrr -p",
        "-a -f 7 -r 10.3.0.1:0",
        "-A -t [2001:db8::80]:80 -s lc",
        "-a -t [2001:db8::80]:80 -r [2001:db8::a0a0]:80 -m -w 3",
        "-A --sctp-service 10.0.0.9:3868 -s rr",
        "-A -u 10.0.0.60:5060 -s rr -p 60 --pe sip -o",
        "-A -u 10.0.0.53:53 -o",
        "-a -u 10.0.0.53:53 -r 10.1.1.1 -w 0",
        "-A -t 10.0.0.5:443 -s sh -b sh-fallback,sh-port -p 600 -M 255.255.255.0",
        "-a -t 10.0.0.5:443 -r 10.2.0.9 -i -w 10 -x 1000 -y 800",
        "-A -t 207.175.44.110:80 -s rr",
        "-a -t 207.175.44.110:80 -r 192.168.10.1:80 -m",
        "-a -t 207.175.44.110:80 -r 192.168.10.2:8080 -m -w 5",
    ] {
        table.does(words);
    }
    table
}

/// Two services, with numbers that need scaling.
fn busy() -> Memory {
    let mut table = Memory::new();
    table.does("-A -t 207.175.44.110:80 -s rr");
    table.does("-a -t 207.175.44.110:80 -r 192.168.10.1:80 -m");
    table.count(
        Statistics {
            connections: 99_999_999,
            packets_in: 100_000_000,
            packets_out: 999_999_999,
            bytes_in: 1_000_000_000,
            bytes_out: 123_456_789_012,
        },
        Rates {
            connections: 100_000_000,
            packets_in: 7,
            packets_out: 8,
            bytes_in: 123_456_789,
            bytes_out: 99_999_999_999_999,
        },
    );
    table
}

#[test]
fn case_46_the_listing() {
    eight_services().shows(
        "-Ln",
        "\
IP Virtual Server version 1.2.1 (size=4096)$
Prot LocalAddress:Port Scheduler Flags$
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn$
TCP  207.175.44.110:80 rr$
  -> 192.168.10.1:80              Masq    1      3          7         $
  -> 192.168.10.2:8080            Masq    5      3          7         $
TCP  10.0.0.5:443 sh (sh-fallback,sh-port) persistent 600 mask 255.255.255.0$
  -> 10.2.0.9:443                 Tunnel  10     3          7         $
UDP  10.0.0.53:53 wlc ops$
  -> 10.1.1.1:53                  Route   0      3          7         $
UDP  10.0.0.60:5060 rr persistent 60 pe sip ops$
SCTP 10.0.0.9:3868 rr$
TCP  [2001:db8::80]:80 lc$
  -> [2001:db8::a0a0]:80          Masq    3      3          7         $
FWM  7 wrr persistent 360$
  -> 10.3.0.1:0                   Route   1      3          7         $
FWM  8 IPv6 mh (mh-port) persistent 360 mask 64$
  -> [2001:db8::10]:0             Route   1      3          7         $
",
    );
}

#[test]
fn case_47_statistics() {
    busy().shows(
        "-Ln --stats",
        "\
IP Virtual Server version 1.2.1 (size=4096)$
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes$
  -> RemoteAddress:Port$
TCP  207.175.44.110:80            99999999  100000K  999999K    1000M     123G$
  -> 192.168.10.1:80              99999999  100000K  999999K    1000M     123G$
",
    );
}

#[test]
fn case_48_exact_statistics() {
    let said = busy().run("-Ln --stats --exact");
    let line = "TCP  207.175.44.110:80            99999999 100000000 999999999 1000000000 \
                123456789012";
    assert_eq!(said.out.lines().nth(3), Some(line));
}

#[test]
fn case_49_rates() {
    busy().shows(
        "-Ln --rate",
        "\
IP Virtual Server version 1.2.1 (size=4096)$
Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS$
  -> RemoteAddress:Port$
TCP  207.175.44.110:80             100000K        7        8  123456K   99999G$
  -> 192.168.10.1:80              100000000        7        8  123456K   99999G$
",
    );
}

#[test]
fn case_50_thresholds() {
    let said = eight_services().run("-Ln --thresholds");
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines[1..3],
        [
            "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn ",
            "  -> RemoteAddress:Port",
        ]
    );
    assert_eq!(
        lines[6..8],
        [
            "TCP  10.0.0.5:443 sh (sh-fallback,sh-port) persistent 600 mask 255.255.255.0",
            "  -> 10.2.0.9:443                 1000       800        3          7         ",
        ]
    );
}

#[test]
fn case_50_persistent_connections() {
    let said = eight_services().run("-Ln --persistent-conn");
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines[1..5],
        [
            "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn ",
            "  -> RemoteAddress:Port",
            "TCP  207.175.44.110:80 rr",
            "  -> 192.168.10.1:80              1         1           3          7         ",
        ]
    );
}

#[test]
fn case_50_tunnels() {
    let mut table = Memory::new();
    for words in [
        "-A -t 10.0.0.5:443 -s sh -b sh-fallback,sh-port -p 600 -M 255.255.255.0",
        "-a -t 10.0.0.5:443 -r 10.2.0.9 -i -w 10 --tun-type gue --tun-port 6080 --tun-csum",
        "-a -t 10.0.0.5:443 -r 10.2.0.10 -i --tun-type gre",
        "-a -t 10.0.0.5:443 -r 10.2.0.11 -i",
        "-a -t 10.0.0.5:443 -r 10.2.0.12 -i --tun-type gue --tun-port 1 --tun-remcsum",
        "-a -t 10.0.0.5:443 -r 10.2.0.13 -m",
    ] {
        table.does(words);
    }
    table.shows(
        "-Ln --tun-info -t 10.0.0.5:443",
        "\
Prot LocalAddress:Port Scheduler Flags$
  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn$
TCP  10.0.0.5:443 sh (sh-fallback,sh-port) persistent 600 mask 255.255.255.0$
  -> 10.2.0.9:443                 Tunnel  gue:6080:+c   10     3          7         $
  -> 10.2.0.10:443                Tunnel  gre:-c        1      3          7         $
  -> 10.2.0.11:443                Tunnel  ipip          1      3          7         $
  -> 10.2.0.12:443                Tunnel  gue:1:r+c     1      3          7         $
  -> 10.2.0.13:443                Masq    n/a           1      3          7         $
",
    );
}

#[test]
fn case_51_unsorted_is_newest_first() {
    let mut table = Memory::new();
    table.does("-A -t 10.0.0.1:80");
    table.does("-a -t 10.0.0.1:80 -r 10.0.0.11");
    table.does("-a -t 10.0.0.1:80 -r 10.0.0.12");
    let said = table.run("-Ln --nosort");
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[4].starts_with("  -> 10.0.0.12:80 "), "{said:?}");
    assert!(lines[5].starts_with("  -> 10.0.0.11:80 "), "{said:?}");
}

#[test]
fn case_52_one_service() {
    let mut table = Memory::new();
    table.does("-A -t 10.0.0.1:80");
    table.does("-A -t 10.0.0.2:80");
    table.shows(
        "-L -n -t 10.0.0.1:80",
        "\
Prot LocalAddress:Port Scheduler Flags$
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn$
TCP  10.0.0.1:80 wlc$
",
    );
}

#[test]
fn case_53_the_order_wraps() {
    let mut table = Memory::new();
    table.does("-A -t 10.0.0.1:80");
    table.does("-a -t 10.0.0.1:80 -r 1.1.1.1");
    table.does("-a -t 10.0.0.1:80 -r 223.255.255.254");
    let said = table.run("-Ln");
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[4].starts_with("  -> 223.255.255.254:80 "), "{said:?}");
    assert!(lines[5].starts_with("  -> 1.1.1.1:80 "), "{said:?}");
}

#[test]
fn case_61_ports_that_cannot_be_changed() {
    let ports = |words: &str| {
        let mut table = Memory::new();
        table.does("-A -t 10.0.0.1:80");
        table.does("-A -f 1");
        table.does(words);
        let mut services = table.services.iter();
        let live = services.find(|live| !live.destinations.is_empty());
        live.expect("a service with a server").destinations[0]
            .destination
            .id
            .port
    };
    assert_eq!(ports("-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -g"), 80);
    assert_eq!(ports("-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -i"), 80);
    assert_eq!(ports("-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -m"), 8080);
    assert_eq!(ports("-a -f 1 -r 10.0.0.2:8080 -g"), 8080);
}

/// The six entries of the expected listing, and the seventh, which has data of an engine.
fn connected() -> Memory {
    let transport = ConnectionProtocol::Transport;
    let entry = |protocol, expires, state: &str, [client, to, destination]: [&str; 3]| Connection {
        protocol,
        expires,
        state: state.to_owned(),
        client: client.parse().expect("a client"),
        virtual_address: to.parse().expect("a VIP"),
        destination: destination.parse().expect("a server"),
        engine: None,
    };
    let mut table = Memory::new();
    table.connections = vec![
        entry(
            transport(Protocol::Tcp),
            899,
            "ESTABLISHED",
            ["192.168.1.5:50082", "10.0.0.1:80", "10.10.10.11:80"],
        ),
        entry(
            transport(Protocol::Tcp),
            359,
            "ASSURED",
            ["192.168.1.5:0", "10.0.0.1:80", "10.10.10.11:80"],
        ),
        Connection {
            engine: Some(EngineData {
                name: "sip".to_owned(),
                data: "1234-abc@host".to_owned(),
            }),
            ..entry(
                transport(Protocol::Udp),
                125,
                "UDP",
                ["192.168.1.6:8080", "10.0.0.1:5060", "10.10.10.12:5060"],
            )
        },
        entry(
            ConnectionProtocol::Mark,
            59,
            "NONE",
            ["192.168.1.7:0", "0.0.0.7:0", "10.10.10.13:0"],
        ),
        entry(
            transport(Protocol::Tcp),
            119,
            "FIN_WAIT",
            [
                "[2001:db8::5]:50082",
                "[2001:db8::80]:443",
                "[2001:db8::a0a0]:443",
            ],
        ),
        entry(
            transport(Protocol::Sctp),
            3661,
            "C-REPLIED",
            ["10.0.0.9:50082", "10.0.0.1:3868", "10.10.10.11:3868"],
        ),
    ];
    table
}

#[test]
fn case_62_connections() {
    connected().shows(
        "-Lnc",
        "\
IPVS connection entries$
pro expire state       source             virtual            destination$
TCP 14:59  ESTABLISHED 192.168.1.5:50082  10.0.0.1:80        10.10.10.11:80$
TCP 05:59  ASSURED     192.168.1.5:0      10.0.0.1:80        10.10.10.11:80$
UDP 02:05  UDP         192.168.1.6:8080   10.0.0.1:5060      10.10.10.12:5060$
IP  00:59  NONE        192.168.1.7:0      0.0.0.7:0          10.10.10.13:0$
TCP 01:59  FIN_WAIT    [2001:db8::5]:50082 [2001:db8::80]:443 [2001:db8::a0a0]:443$
SCTP 61:01  C-REPLIED   10.0.0.9:50082     10.0.0.1:3868      10.10.10.11:3868$
",
    );
}

#[test]
fn case_62_connections_with_what_engines_keep() {
    let said = connected().run("-Lnc --persistent-conn");
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines[1],
        "pro expire state       source             virtual            destination        pe name  \
         \u{20}       pe_data"
    );
    assert_eq!(
        lines[2],
        "TCP 14:59  ESTABLISHED 192.168.1.5:50082  10.0.0.1:80        10.10.10.11:80"
    );
    assert_eq!(
        lines[4],
        "UDP 02:05  UDP         192.168.1.6:8080   10.0.0.1:5060      10.10.10.12:5060 sip        \
         \u{20}       1234-abc@host"
    );
}

#[test]
fn case_63_a_large_table_is_complete() {
    let mut table = Memory::new();
    table.does("-A -t 10.1.0.0:80");
    table.does("-a -t 10.1.0.0:80 -r 10.101.0.0 -m");
    table.does("-a -t 10.1.0.0:80 -r 10.102.0.0 -m");
    let first = table.services.remove(0);
    for number in 0u16..10_000 {
        let [high, low] = number.to_be_bytes();
        let mut live = first.clone();
        live.service.id = ServiceId::Address {
            protocol: Protocol::Tcp,
            address: [10, 1, high, low].into(),
            port: 80,
        };
        for (server, octet) in live.destinations.iter_mut().zip([102, 101]) {
            server.destination.id.address = [10, octet, high, low].into();
        }
        table.services.push(live);
    }
    let said = table.run("-Ln");
    assert_eq!(said.out.lines().count(), 3 + 3 * 10_000);
    let last = said.out.lines().last().expect("a line");
    assert!(last.starts_with("  -> 10.102.39.15:80 "), "{last}");
}

#[test]
fn names_are_cut_to_the_columns_of_ipv4() {
    let mut table = Memory::new();
    table.does("-A -t 127.0.0.1:80");
    table.does("-a -t 127.0.0.1:80 -r 10.0.0.2:443 -m");
    table.does("-A -t [2001:db8:1111:2222:3333:4444:5555:6666]:443");
    table.does("-A -f 3");
    table.does("-a -f 3 -r 10.0.0.2:443");
    let said = table.run("-L");
    let lines: Vec<&str> = said.out.lines().skip(3).collect();
    assert_eq!(
        lines,
        [
            "TCP  localhost:http wlc",
            "  -> 10.0.0.2:https               Masq    1      3          7         ",
            "TCP  [2001:db8:1111:2222:3333:4444:5555:6666]:https wlc",
            "FWM  3 wlc",
            "  -> 10.0.0.2:443                 Route   1      3          7         ",
        ]
    );
}

#[test]
fn an_empty_table_is_its_headers_also_without_words() {
    let headers = "\
IP Virtual Server version 1.2.1 (size=4096)$
Prot LocalAddress:Port Scheduler Flags$
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn$
";
    Memory::new().shows("-L", headers);
    Memory::new().shows("", headers);
}
