//! The lab against the kernel: links that carry frames, real programs, and nothing left behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use caribe_lab::topology::{self, OneArmed, Plan};
use caribe_lab::{
    Capture, Curl, Lab, LabError, Nginx, Payload, Port, UdpClient, UdpEcho, Wrk, wait,
};

const SOON: Duration = Duration::from_secs(5);

/// Everything on this machine that bears the lab's name: namespaces, files, mounts, processes.
fn traces(id: &str) -> Vec<String> {
    let mut found = Vec::new();
    for directory in ["/run/netns", "/run/caribe-lab"] {
        let entries = fs::read_dir(directory).into_iter().flatten();
        found.extend(
            entries
                .map(|entry| entry.expect("listing").path().display().to_string())
                .filter(|path| path.contains(id)),
        );
    }
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(id))
            .map(str::to_owned),
    );
    for entry in fs::read_dir("/proc").expect("processes") {
        let path = entry.expect("listing").path();
        let line = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        if line.contains(id) {
            found.push(format!("{}: {line}", path.display()));
        }
    }
    found
}

#[test]
fn hosts_reach_each_other_over_both_families() {
    let mut lab = Lab::new("ping").expect("lab");
    let lan = lab.switch("lan").expect("switch");
    let one = lab.host("one").expect("host");
    let two = lab.host("two").expect("host");
    for (host, number) in [(&one, 1), (&two, 2)] {
        let port = Port::new("eth0")
            .mtu(1400)
            .address(format!("10.9.0.{number}/24"))
            .address(format!("fd00:9::{number}/64"));
        host.connect(&lan, port).expect("link");
    }
    for address in ["10.9.0.2", "fd00:9::2"] {
        one.wait_until_pings(address.parse().expect("address"), SOON)
            .expect("an answer");
    }
    assert_eq!(one.interface("eth0").expect("interface").mtu, 1400);
    assert!(matches!(
        one.ping("10.9.0.3".parse().expect("address")),
        Err(LabError::Failed { .. })
    ));
    two.take_down("eth0").expect("down");
    assert!(one.ping("10.9.0.2".parse().expect("address")).is_err());
}

#[test]
fn links_are_fit_for_xdp() {
    let mut lab = Lab::new("offload").expect("lab");
    let lan = lab.switch("lan").expect("switch");
    let host = lab.host("host").expect("host");
    host.connect(&lan, Port::new("eth0")).expect("link");
    let link = Command::new("ip")
        .args(["-n", lan.namespace(), "link", "show", "host.eth0"])
        .output()
        .expect("ip can look into a namespace of the lab");
    let link = String::from_utf8_lossy(&link.stdout).into_owned();
    // Native XDP, or frames of XDP_TX would wait at the switch's end.
    assert!(link.contains(" xdp "), "{link}");
    let switch_end = Command::new("ip")
        .args([
            "netns",
            "exec",
            lan.namespace(),
            "ethtool",
            "-k",
            "host.eth0",
        ])
        .output()
        .expect("ip netns exec can enter a namespace of the lab");
    let host_end = host
        .command("ethtool")
        .args(["-k", "eth0"])
        .run()
        .expect("ethtool");
    for features in [
        String::from_utf8_lossy(&switch_end.stdout).into_owned(),
        host_end,
    ] {
        assert!(features.contains("\ntx-checksumming: off"), "{features}");
        assert!(
            features.contains("\ngeneric-receive-offload: on"),
            "{features}"
        );
    }
}

#[test]
fn real_programs_talk_across_the_topology() {
    let lab = Lab::new("programs").expect("lab");
    let net = OneArmed::build(
        lab,
        Plan {
            lan_servers: 2,
            inside_servers: 1,
            mtu: 1500,
        },
    )
    .expect("topology");
    let payload =
        Payload::create(&net.lab.directory().join("payload"), 20_000_003).expect("payload");
    let _web: Vec<Nginx> = net
        .lan_servers
        .iter()
        .chain(&net.inside_servers)
        .map(|host| Nginx::start(host, &[80, 8080], Some(&payload)).expect("nginx"))
        .collect();
    let curl = Curl::on(&net.client);
    for (port, url) in [
        (80, "http://10.1.0.11/"),
        (8080, "http://[fd00:1::12]:8080/"),
    ] {
        let name = if port == 80 { "web1" } else { "web2" };
        assert_eq!(curl.get(url).expect("an answer"), format!("{name}\n"));
    }
    let received = curl
        .clone()
        .time_limit(Duration::from_secs(30))
        .digest("http://10.1.0.11/big")
        .expect("a body");
    assert_eq!(&received, payload.digest());
    assert_eq!(received.length, 20_000_003);

    let burst = curl.burst("http://[fd00:1::11]/", 200, 8).expect("a burst");
    assert_eq!(burst.answers.get("web1"), Some(&200), "{burst:?}");
    assert_eq!(burst.failed(), 0);
    let refused = curl.burst("http://10.1.0.11:81/", 3, 1).expect("a burst");
    assert_eq!(
        (refused.answered(), refused.failed()),
        (0, 3),
        "{refused:?}"
    );
    assert!(matches!(
        curl.get("http://10.1.0.11/missing"),
        Err(LabError::Failed { .. })
    ));

    let report = Wrk::new(4)
        .connection_per_request()
        .run(&net.client, "http://10.1.0.12/", Duration::from_secs(1))
        .expect("wrk");
    assert!(report.requests > 100, "{report:?}");
    assert_eq!(report.failures(), 0, "{report:?}");

    // The inside server answers the director, and through it the client.
    net.client
        .add_route(
            "10.2.0.0/24".parse().expect("net"),
            IpAddr::V4(topology::lan_v4(topology::DIRECTOR)),
        )
        .expect("route");
    assert_eq!(curl.get("http://10.2.0.11/").expect("an answer"), "nat1\n");
}

#[test]
fn a_udp_echo_answers_until_it_ends() {
    let lab = Lab::new("udp").expect("lab");
    let net = OneArmed::build(
        lab,
        Plan {
            lan_servers: 1,
            inside_servers: 0,
            mtu: 1500,
        },
    )
    .expect("topology");
    for address in [
        SocketAddr::new(topology::lan_v4(11).into(), 53),
        SocketAddr::new(topology::lan_v6(11).into(), 53),
    ] {
        let echo = UdpEcho::start(&net.lan_servers[0], &[address]).expect("echo");
        let client = UdpClient::connect(&net.client, address).expect("client");
        assert_eq!(client.exchange(b"hello").expect("answer"), b"web1 hello");
        drop(echo);
        assert!(client.exchange(b"hello").is_err());
    }
}

#[test]
fn a_capture_tells_what_was_on_the_wire() {
    let lab = Lab::new("capture").expect("lab");
    let net = OneArmed::build(
        lab,
        Plan {
            lan_servers: 1,
            inside_servers: 0,
            mtu: 1500,
        },
    )
    .expect("topology");
    let server = &net.lan_servers[0];
    let address = SocketAddr::new(topology::lan_v4(11).into(), 7777);
    let _echo = UdpEcho::start(server, &[address]).expect("echo");
    let capture = Capture::start(server, "eth0", "udp port 7777").expect("capture");
    let client = UdpClient::connect(&net.client, address).expect("client");
    client.exchange(b"seen").expect("answer");
    let packets = capture
        .finish(&["ip.src", "udp.length", "ip.ttl", "udp.checksum.status"])
        .expect("packets");
    assert_eq!(packets.len(), 2, "{packets:?}");
    assert_eq!(packets[0]["ip.src"], ["10.1.0.100"]);
    assert_eq!(packets[1]["ip.src"], ["10.1.0.11"]);
    assert_eq!(packets[1]["udp.length"], ["17"]);
    assert_eq!(packets[0]["ip.ttl"], ["64"]);
    // Good: no half-made checksum leaves a host.
    assert_eq!(packets[0]["udp.checksum.status"], ["1"]);
}

#[test]
fn a_lab_leaves_nothing_behind() {
    let mut lab = Lab::new("tidy").expect("lab");
    let id = lab.id().to_owned();
    let lan = lab.switch("lan").expect("switch");
    let host = lab.host("host").expect("host");
    host.connect(&lan, Port::new("eth0").address("10.9.0.1/24"))
        .expect("link");
    let pins = lab.pin_directory("director").expect("bpffs");
    assert!(pins.is_dir());
    let nginx = Nginx::start(&host, &[80], None).expect("nginx");
    assert!(traces(&id).len() >= 5, "{:?}", traces(&id));
    // Dropped in the wrong order on purpose: the lab ends its processes by itself.
    drop(lab);
    drop(nginx);
    assert_eq!(traces(&id), Vec::<String>::new());
}

#[test]
fn two_labs_of_one_name_are_refused() {
    let _lab = Lab::new("twice").expect("lab");
    assert!(matches!(Lab::new("twice"), Err(LabError::Taken(_))));
    assert!(matches!(Lab::new("No good"), Err(LabError::Name { .. })));
}

/// Runs this same test again in a child, which builds a lab and waits to be killed.
#[test]
fn a_killed_lab_is_cleaned_up_by_the_next() {
    const MARK: &str = "CARIBE_LAB_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        let mut lab = Lab::new("killed").expect("lab");
        let host = lab.host("host").expect("host");
        let _nginx = Nginx::start(&host, &[80], None).expect("nginx");
        println!("lab is up");
        wait::pause(Duration::from_secs(60));
        return;
    }
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--exact",
            "a_killed_lab_is_cleaned_up_by_the_next",
            "--nocapture",
        ])
        .env(MARK, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("child");
    let id = format!("killed-{}", child.id());
    let mut output = child.stdout.take().expect("a pipe");
    let mut said = String::new();
    wait::until_true("the child's lab", Duration::from_secs(20), || {
        let mut byte = [0];
        let count = output.read(&mut byte).expect("the child's output");
        assert_eq!(count, 1, "the child ended: {said}");
        said.push(char::from(byte[0]));
        said.contains("lab is up")
    })
    .expect("the child's lab");
    let before = traces(&id);
    let kinds: BTreeSet<bool> = before.iter().map(|trace| trace.contains("nginx")).collect();
    assert_eq!(kinds.len(), 2, "namespaces and an nginx are up: {before:?}");
    child.kill().expect("kill");
    child.wait().expect("reap");
    assert!(!traces(&id).is_empty());
    let _next = Lab::new("next").expect("the next lab");
    assert_eq!(traces(&id), Vec::<String>::new());
}
