//! Up, again up, status and down on a real namespace: exact, idempotent, and undone when it
//! fails half-way.

mod lan;

use caribe_real_server::{RealServerError, Refusal};
use lan::{Lan, VIP4};

#[test]
fn up_twice_does_nothing_the_second_time_and_more_vips_may_join() {
    let lan = Lan::new("rs-twice");
    let before = lan.picture();
    lan.succeed("up --vip 10.1.0.80 --interface eth0");
    let once = lan.picture();
    let said = lan.succeed("up --vip 10.1.0.80 --interface eth0");
    assert_eq!(said.trim(), "everything is in place already");
    assert_eq!(lan.picture(), once);

    let said = lan.succeed("up --vip 10.1.0.81 --vip fd00:1::80 --interface eth0");
    assert_eq!(said, "put 10.1.0.81/32 on lo\nput fd00:1::80/128 on lo\n");
    let status = lan.succeed("status --json");
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["in_place"], true);
    assert_eq!(status["vips"].as_array().expect("a list").len(), 3);

    lan.succeed("down");
    assert_eq!(lan.picture(), before);
    assert_eq!(lan.succeed("down").trim(), "there is nothing to undo");
}

#[test]
fn status_judges_the_live_system_not_what_up_remembers() {
    let lan = Lan::new("rs-status");
    lan.succeed("up --vip 10.1.0.80 --vip fd00:1::80 --interface eth0");
    lan.ip("addr del 10.1.0.80/32 dev lo");
    lan.set_sysctl("all", "arp_ignore", "0");
    lan.set_sysctl("eth0", "arp_ignore", "3");
    let status = lan.command("status --json").expect("a status");
    assert_eq!(status.code, 1);
    let status: serde_json::Value = serde_json::from_str(&status.text).expect("JSON");
    let missing: Vec<&str> = status["vips"]
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|vip| vip["pieces"].as_array().expect("a list"))
        .filter(|piece| piece["in_place"] == false)
        .map(|piece| piece["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(missing, ["address", "arp_ignore"]);

    // Set by hand, it counts as well, and nothing needs to be remembered for that.
    lan.succeed("down");
    lan.ip("addr add 10.1.0.80/32 dev lo");
    lan.set_sysctl("all", "arp_ignore", "1");
    lan.set_sysctl("eth0", "arp_ignore", "0");
    lan.set_sysctl("eth0", "arp_announce", "2");
    lan.succeed("status --vip 10.1.0.80 --interface eth0");
}

#[test]
fn down_leaves_alone_what_was_there_before_or_changed_since() {
    let lan = Lan::new("rs-down");
    lan.ip("addr add 10.1.0.80/32 dev lo");
    lan.set_sysctl("all", "arp_announce", "2");
    lan.succeed("up --vip 10.1.0.80 --vip 10.1.0.81 --interface eth0");
    lan.set_sysctl("eth0", "arp_ignore", "8");
    let said = lan.succeed("down");
    assert!(
        said.contains("left net.ipv4.conf.eth0.arp_ignore at 8"),
        "{said}"
    );
    assert!(lan.ip("addr show dev lo").contains("10.1.0.80/32"));
    assert!(!lan.ip("addr show dev lo").contains("10.1.0.81/32"));
    assert_eq!(lan.sysctl("all", "arp_announce"), "2");
    assert_eq!(lan.sysctl("all", "arp_ignore"), "0");
    assert_eq!(lan.sysctl("eth0", "arp_ignore"), "8");
}

#[test]
fn a_step_that_fails_has_those_before_it_undone() {
    let lan = Lan::new("rs-fails");
    let before = lan.picture();
    // No BPF file system there, which shows only after the sysctls are set.
    let elsewhere = lan.directory().join("no-bpffs");
    let up = format!(
        "up --vip 10.1.0.80 --interface eth0 --method tunnel --pins {}",
        elsewhere.display()
    );
    let error = lan.command(&up).expect_err("no BPF file system");
    assert!(
        error.to_string().contains("not on a BPF file system"),
        "{error}"
    );
    assert_eq!(lan.picture(), before);
    assert!(!lan.state_file().exists());
    assert!(!elsewhere.exists());
}

fn refusals(lan: &Lan, words: &str) -> Vec<Refusal> {
    let before = lan.picture();
    let refused = match lan.command(words) {
        Err(RealServerError::Refused(refusals)) => refusals,
        other => panic!("{words} must be refused: {other:?}"),
    };
    assert_eq!(lan.picture(), before, "{words}: refused, and yet changed");
    for refusal in &refused {
        let told = refusal.to_string();
        assert!(told.len() > 40, "a reason, and what to do: {told}");
    }
    refused
}

#[test]
fn what_would_take_the_machine_off_the_network_is_refused() {
    let lan = Lan::new("rs-refuse");
    lan.ip("route add default via 10.1.0.254");
    lan.ip("addr add 10.1.0.90/24 dev eth0");
    let director = lan.directory().join("director");
    std::fs::create_dir(&director).expect("a directory");
    std::fs::write(director.join("director_link"), "").expect("a pin");
    let ip = |text: &str| text.parse().expect("an address");
    let eth0 = || "eth0".to_owned();
    let director_up = format!(
        "up --vip {VIP4} --interface eth0 --director-pins {}",
        director.display()
    );
    for (words, expected) in [
        (
            "up --vip 10.1.0.2 --interface eth0",
            Refusal::OwnAddress {
                vip: ip("10.1.0.2"),
                interface: eth0(),
            },
        ),
        (
            "up --vip 10.1.0.2 --interface eth0 --arp nftables",
            Refusal::OwnAddress {
                vip: ip("10.1.0.2"),
                interface: eth0(),
            },
        ),
        (
            "up --vip fd00:1::2 --interface eth0",
            Refusal::OwnAddress {
                vip: ip("fd00:1::2"),
                interface: eth0(),
            },
        ),
        (
            "up --vip 10.1.0.90 --interface eth0",
            Refusal::OnInterface {
                vip: ip("10.1.0.90"),
                interface: eth0(),
            },
        ),
        (
            "up --vip 10.1.0.254 --interface eth0",
            Refusal::Gateway {
                vip: ip("10.1.0.254"),
            },
        ),
        ("up --vip 10.1.0.80 --interface lo", Refusal::Loopback),
        (
            "up --vip 10.1.0.80 --interface eth9",
            Refusal::NoInterface {
                interface: "eth9".to_owned(),
            },
        ),
        (
            "up --vip ::1 --interface eth0",
            Refusal::NotAVip {
                vip: ip("::1"),
                what: "a loopback address",
            },
        ),
        (
            &director_up,
            Refusal::Director {
                pins: director.clone(),
            },
        ),
    ] {
        assert_eq!(refusals(&lan, words), [expected], "{words}");
    }

    lan.real.take_down("eth0").expect("down");
    let down = Refusal::Down { interface: eth0() };
    let words = "up --vip 10.1.0.80 --interface eth0";
    assert_eq!(refusals(&lan, words), [down]);
}

#[test]
fn another_way_of_being_a_real_server_is_refused_until_the_first_is_undone() {
    let lan = Lan::new("rs-other");
    lan.succeed("up --vip 10.1.0.80 --interface eth0");
    let refused = refusals(&lan, "up --vip 10.1.0.80 --interface eth0 --arp nftables");
    assert!(matches!(refused.as_slice(), [Refusal::Otherwise { .. }]));
    lan.succeed("down");
    lan.succeed("up --vip 10.1.0.80 --interface eth0 --arp nftables");
}

#[test]
fn a_state_file_that_others_may_write_is_not_obeyed() {
    use std::os::unix::fs::PermissionsExt;

    let lan = Lan::new("rs-state");
    lan.succeed("up --vip 10.1.0.80 --interface eth0");
    let up = lan.picture();
    let writable = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(lan.state_file(), writable).expect("set");
    let error = lan.command("down").expect_err("not to be trusted");
    assert!(error.to_string().contains("cannot be trusted"), "{error}");
    assert_eq!(lan.picture(), up);
}
