//! Cases 1 to 45: words, messages and exit codes.

use caribe_ipvsadm::{Forwarding, Netmask, Persistence};

use crate::kernel::Memory;

const TRY: &str = "Try `CLI -h' or 'CLI --help' for more information.";
const BAD_SERVICE: &str = "illegal virtual server address[:port] specified";

/// A table with a TCP service, and a server in it.
fn table() -> Memory {
    let mut table = Memory::new();
    table.does("-A -t 10.0.0.1:80");
    table.does("-a -t 10.0.0.1:80 -r 10.0.0.9 -m");
    table
}

#[test]
fn case_1_the_version_names_ipvs() {
    let said = Memory::new().run("-v");
    assert!(said.out.starts_with("ipvsadm v1.31 "), "{said:?}");
    assert!(said.out.ends_with(" IPVS v1.2.1)\n"), "{said:?}");
    assert_eq!((said.error.as_str(), said.code), ("", 0));
}

#[test]
fn case_2_the_command_comes_first() {
    Memory::new().refuses("-n -L", TRY, 255);
}

#[test]
fn case_3_one_command() {
    Memory::new().refuses("-L -A", "invalid option `-A'", 2);
}

#[test]
fn case_4_unknown_options() {
    Memory::new().refuses("-L --bogus", "--bogus: unknown option", 255);
}

#[test]
fn case_5_no_abbreviations() {
    Memory::new().refuses("--add-serv -t 10.0.0.1:80", TRY, 255);
}

#[test]
fn case_6_a_service_is_needed() {
    Memory::new().refuses(
        "-A",
        "You need to supply the 'service-address' option for the 'add-service' command",
        2,
    );
}

#[test]
fn case_7_port_zero_needs_persistence() {
    Memory::new().refuses(
        "-A -t 10.0.0.1",
        "Zero port specified for non-persistent service",
        2,
    );
}

#[test]
fn case_8_options_of_other_commands() {
    Memory::new().refuses(
        "-A -t 10.0.0.1:80 -r 10.0.0.2",
        "Illegal 'real-server' option with the 'add-service' command",
        2,
    );
}

#[test]
fn case_9_one_service() {
    Memory::new().refuses(
        "-A -t 10.0.0.1:80 -u 10.0.0.2:80",
        "multiple 'service-address' options specified",
        2,
    );
}

#[test]
fn case_10_bad_addresses() {
    for place in [
        "80",
        "10.0.0.1:nosuch",
        "10.0.0.1:70000",
        "10.0.0.1:",
        "[2001:db8::1]",
        "10.0.0.1:0x50",
    ] {
        Memory::new().refuses(&format!("-A -t {place}"), BAD_SERVICE, 2);
    }
}

#[test]
fn case_11_an_ipv6_address_alone() {
    let mut table = Memory::new();
    table.does("-A -t 2001:db8::1 -p");
    let service = &table.services[0].service;
    assert_eq!(service.id.to_string(), "TCP [2001:db8::1]:0");
    assert_eq!(service.persistence, Some(Persistence { timeout: 360 }));
}

#[test]
fn case_12_values_attached_and_apart() {
    for (words, scheduler) in [
        ("-At10.0.0.1:80 -s=rr", "rr"),
        ("-At 10.0.0.1:80 -srr", "rr"),
        (
            "--add-service --tcp-service=10.0.0.1:80 --scheduler=wlc",
            "wlc",
        ),
    ] {
        let mut table = Memory::new();
        table.does(words);
        let service = &table.services[0].service;
        assert_eq!(service.id.to_string(), "TCP 10.0.0.1:80");
        assert_eq!(service.scheduler.as_str(), scheduler);
    }
}

#[test]
fn case_13_persistence_without_a_value() {
    let mut table = Memory::new();
    table.does("-A -t 10.0.0.1:80 -p -s rr");
    let said = table.run("-Ln");
    assert!(
        said.out.ends_with("\nTCP  10.0.0.1:80 rr persistent 360\n"),
        "{said:?}"
    );
}

#[test]
fn case_14_persistence_timeouts() {
    for value in ["0", "2678401", "abc"] {
        Memory::new().refuses(
            &format!("-A -t 10.0.0.1:80 -p {value}"),
            &format!("invalid timeout value `{value}' specified"),
            2,
        );
    }
    let mut table = Memory::new();
    table.does("-A -t 10.0.0.1:80 -p 2678400");
    let persistence = table.services[0].service.persistence;
    assert_eq!(persistence, Some(Persistence { timeout: 2_678_400 }));
}

#[test]
fn case_15_ipv6_netmasks() {
    Memory::new().refuses(
        "-A -t [2001:db8::1]:80 -M 129",
        "illegal ipv6 netmask specified",
        2,
    );
}

#[test]
fn case_16_a_number_as_netmask_is_an_address() {
    let mut table = Memory::new();
    table.does("-A -t 10.0.0.1:80 -M 24");
    let mask = Netmask::V4([0, 0, 0, 24].into());
    assert_eq!(table.services[0].service.netmask, mask);
}

#[test]
fn case_17_one_packet_scheduling_is_for_udp() {
    Memory::new().refuses(
        "-A -t 10.0.0.1:80 -o",
        "One-Packet Scheduling is only for UDP virtual services",
        2,
    );
}

#[test]
fn case_18_scheduler_flags() {
    Memory::new().refuses(
        "-A -t 10.0.0.1:80 -b foo",
        "invalid scheduler flag `foo'",
        2,
    );
    for words in ["-b sh-port", "-s mh -b sh-port"] {
        Memory::new().refuses(
            &format!("-A -t 10.0.0.1:80 {words}"),
            "incompatible scheduler flag `sh-port'",
            2,
        );
    }
}

#[test]
fn case_19_firewall_marks() {
    for value in ["0", "abc", "-1", "4294967296"] {
        Memory::new().refuses(
            &format!("-A -f {value}"),
            &format!("invalid fwmark value `{value}' specified"),
            2,
        );
    }
    let mut table = Memory::new();
    table.does("-A -f 4294967295");
    let id = table.services[0].service.id;
    assert_eq!(id.to_string(), "FWM 4294967295");
}

#[test]
fn case_20_ipv6_comes_after_the_mark() {
    Memory::new().refuses("-A -6 -f 1", "-6 used before -f\n", 2);
}

#[test]
fn case_21_a_server_is_needed() {
    table().refuses(
        "-a -t 10.0.0.1:80",
        "You need to supply the 'real-server' option for the 'add-server' command",
        2,
    );
}

/// `-a` with a server and these words.
fn add(words: &str) -> String {
    format!("-a -t 10.0.0.1:80 -r 10.0.0.2 {words}")
}

#[test]
fn case_22_one_forwarding_method() {
    table().refuses(
        &add("-g -m"),
        "multiple 'forwarding-method' options specified",
        2,
    );
}

#[test]
fn case_23_only_tunnels_change_the_family() {
    table().refuses(
        "-a -t 10.0.0.1:80 -r [::1]:80",
        "Different address family is allowed only for tunneling servers",
        2,
    );
    table().does("-a -t 10.0.0.1:80 -r [::1]:80 -i");
}

#[test]
fn case_24_weights() {
    for value in ["2147483648", "-1", "1x"] {
        table().refuses(&add(&format!("-w {value}")), "illegal weight specified", 2);
    }
    let mut table = table();
    table.does(&add("-w 65536"));
    assert_eq!(table.services[0].destinations[0].destination.weight, 65_536);
}

#[test]
fn case_25_tunnel_options_need_a_tunnel() {
    table().refuses(
        &add("--tun-type gre"),
        "Tunnel options conflict with forward method",
        2,
    );
}

#[test]
fn case_26_gue_needs_a_port() {
    table().refuses(
        &add("-i --tun-type gue"),
        "You need to supply the 'tun-port' option for the 'gue' tunnel type",
        2,
    );
}

#[test]
fn case_27_gre_has_no_remote_checksum() {
    table().refuses(
        &add("-i --tun-type gre --tun-remcsum"),
        "Illegal 'tun-remcsum' option with the 'gre' tunnel type",
        2,
    );
}

#[test]
fn case_28_one_checksum() {
    table().refuses(
        &add("-i --tun-type gue --tun-port 5 --tun-csum --tun-remcsum"),
        "The option 'tun-remcsum' conflicts with the 'tun-csum' option in the 'gue' tunnel type",
        2,
    );
}

#[test]
fn case_29_ipip_has_no_checksum() {
    table().refuses(
        &add("-i --tun-csum"),
        "Illegal 'tun-csum' option with the 'ipip' tunnel type",
        2,
    );
}

#[test]
fn case_30_a_server_is_deleted_by_its_identity() {
    table().refuses(
        "-d -t 10.0.0.1:80 -r 10.0.0.2 -w 3",
        "Illegal 'weight' option with the 'delete-server' command",
        2,
    );
}

#[test]
fn case_31_unknown_services() {
    for words in [
        "-D -t 10.0.0.7:80",
        "-E -t 10.0.0.7:80",
        "-Z -t 10.0.0.7:80",
    ] {
        table().refuses(words, "No such service", 255);
    }
}

#[test]
fn case_32_servers_of_unknown_services() {
    for command in ["-a", "-e", "-d"] {
        table().refuses(
            &format!("{command} -t 10.0.0.7:80 -r 10.0.0.2"),
            "Service not defined",
            255,
        );
    }
}

#[test]
fn case_33_what_is_there_already() {
    table().refuses("-A -t 10.0.0.1:80", "Service already exists", 255);
    table().refuses(
        "-a -t 10.0.0.1:80 -r 10.0.0.9",
        "Destination already exists",
        255,
    );
}

#[test]
fn case_34_unknown_servers() {
    for command in ["-e", "-d"] {
        table().refuses(
            &format!("{command} -t 10.0.0.1:80 -r 10.0.0.7"),
            "No such destination",
            255,
        );
    }
}

#[test]
fn case_35_a_lower_threshold_over_the_upper() {
    table().refuses(&add("-x 5 -y 9"), "Numerical result out of range", 255);
}

#[test]
fn case_36_unknown_schedulers() {
    Memory::new().refuses(
        "-A -t 10.0.0.1:80 -s nosuch",
        "Scheduler or persistence engine not found",
        255,
    );
}

#[test]
fn case_37_listing_an_unknown_service() {
    Memory::new().refuses("-L -t 10.0.0.1:80", "No such service", 1);
}

#[test]
fn case_38_a_service_has_no_connections_of_its_own() {
    table().refuses(
        "-L -t 10.0.0.1:80 -c",
        "The option 'service-address' conflicts with the 'connection' option in the 'list' command",
        2,
    );
}

#[test]
fn case_39_listings_that_do_not_go_together() {
    for words in ["-L -c --stats", "-L --timeout --persistent-conn"] {
        table().refuses(words, "options conflicts in the list command", 2);
    }
}

#[test]
fn case_40_clearing_takes_nothing() {
    let mut table = table();
    table.refuses(
        "-C -n",
        "Illegal 'numeric' option with the 'flush' command",
        2,
    );
    table.refuses("-C foo", "unexpected argument foo", 2);
    assert_eq!(table.services.len(), 1, "nothing was cleared");
}

#[test]
fn case_41_three_timeouts() {
    for (words, message, code) in [
        ("1 2", "--set option requires 3 timeout values", 2),
        ("1 2 3 4", "unexpected argument 4", 2),
        ("-1 2 3", "-1: unknown option", 255),
        (
            "2678401 2 3",
            "invalid timeout value `2678401' specified",
            2,
        ),
    ] {
        Memory::new().refuses(&format!("--set {words}"), message, code);
    }
}

#[test]
fn case_42_timeout_zero_keeps_what_was() {
    let mut table = Memory::new();
    table.does("--set 7200 0 60");
    table.shows("-L --timeout", "Timeout (tcp tcpfin udp): 7200 120 60\n");
}

#[test]
fn case_43_daemon_states() {
    let mut table = Memory::new();
    table.refuses(
        "--start-daemon foo",
        "illegal start-daemon parameter specified",
        2,
    );
    table.refuses("--stop-daemon foo", "illegal start_daemon specified", 2);
    table.refuses("--stop-daemon master", "No daemon is running", 255);
}

#[test]
fn case_44_daemons() {
    let mut table = Memory::new();
    table.does("--start-daemon backup");
    table.does(
        "--start-daemon master --mcast-interface eth1 --syncid 7 --sync-maxlen 1472 \
         --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1",
    );
    table.shows(
        "-L --daemon",
        "master sync daemon (mcast=eth1, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, \
         ttl=1)\n\
         backup sync daemon (mcast=eth0, syncid=0)\n",
    );
    table.refuses("--start-daemon master", "Daemon has already run", 255);
}

#[test]
fn case_45_bounds_of_daemons() {
    for (words, message) in [
        (
            "--mcast-group 10.0.0.1",
            "invalid IPv4 mcast-group `10.0.0.1'",
        ),
        (
            "--mcast-group 2001:db8::1",
            "invalid IPv6 mcast-group `2001:db8::1'",
        ),
        ("--mcast-port 0", "illegal mcast-port specified"),
        ("--mcast-ttl 256", "illegal mcast-ttl specified"),
        ("--sync-maxlen 65508", "illegal sync-maxlen specified"),
        ("--syncid 256", "illegal syncid specified"),
    ] {
        Memory::new().refuses(&format!("--start-daemon master {words}"), message, 2);
    }
    let mut table = Memory::new();
    table.does("--start-daemon master --sync-maxlen 65507");
    assert_eq!(table.daemons[0].longest, Some(65_507));
}

#[test]
fn edits_replace_everything() {
    let mut table = Memory::new();
    table.does("-A -u 10.0.0.1:53 -s sh -b sh-port -p 60 -M 255.255.0.0 -o --pe sip");
    table.does("-E -u 10.0.0.1:53");
    let service = &table.services[0].service;
    assert_eq!(service.scheduler.as_str(), "wlc");
    assert_eq!(service.persistence, None);
    assert_eq!(service.netmask, Netmask::V4([255; 4].into()));
    assert_eq!((service.one_packet, &service.engine), (false, &None));
    assert_eq!(service.flags.bits(), 0);

    table.does("-a -u 10.0.0.1:53 -r 10.0.0.2 -m -w 7 -x 9 -y 4");
    table.does("-e -u 10.0.0.1:53 -r 10.0.0.2");
    let server = table.services[0].destinations[0].destination;
    assert_eq!(server.forwarding, Forwarding::Direct);
    let numbers = (
        server.weight,
        server.upper_threshold,
        server.lower_threshold,
    );
    assert_eq!(numbers, (1, 0, 0));
}

#[test]
fn help_says_everything_that_can_be_typed() {
    let said = Memory::new().run("-h");
    assert_eq!((said.error.as_str(), said.code), ("", 0));
    for word in [
        "--add-service",
        "--edit-service",
        "--delete-service",
        "--clear",
        "--restore",
        "--save",
        "--add-server",
        "--edit-server",
        "--delete-server",
        "--list",
        "--zero",
        "--set",
        "--start-daemon",
        "--stop-daemon",
        "--help",
        "--version",
        "--tcp-service",
        "--udp-service",
        "--sctp-service",
        "--fwmark-service",
        "--ipv6",
        "--scheduler",
        "--sched-flags",
        "--persistent",
        "--netmask",
        "--pe",
        "--ops",
        "--real-server",
        "--gatewaying",
        "--ipip",
        "--masquerading",
        "--tun-type",
        "--tun-port",
        "--tun-nocsum",
        "--tun-csum",
        "--tun-remcsum",
        "--weight",
        "--u-threshold",
        "--l-threshold",
        "--connection",
        "--numeric",
        "--timeout",
        "--daemon",
        "--stats",
        "--rate",
        "--thresholds",
        "--persistent-conn",
        "--tun-info",
        "--nosort",
        "--sort",
        "--exact",
        "--mcast-interface",
        "--syncid",
        "--sync-maxlen",
        "--mcast-group",
        "--mcast-port",
        "--mcast-ttl",
    ] {
        assert!(said.out.contains(word), "{word}");
    }
}
