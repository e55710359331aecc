//! What a reader makes of a file that it knows is what it would make of it without.

mod support;

use std::sync::Arc;

use caribe_config::{Mode, Reader, Reading, Source, parse};
use proptest::prelude::*;

fn source(text: &str) -> Source {
    Source::new("lvs.cf", text)
}

/// Reads a text after others, and holds the result to that of a fresh start.
fn reread(reader: &mut Reader, text: &str) -> Reading {
    let source = source(text);
    let reading = reader.read(&source, Mode::Lenient, &support::resolver());
    let parsed = parse(&source, Mode::Lenient, &support::resolver());
    assert_eq!(reading.config, parsed.config, "of this file:\n{text}");
    assert_eq!(reading.diagnostics, parsed.diagnostics);
    reading
}

/// Services of three servers each, with nothing to complain of.
fn services(count: usize) -> Vec<String> {
    let service = |number: usize| {
        let servers: String = (1..4)
            .map(|server| {
                format!(
                    "  server s{server} {{\n    active = 1\n    address = 10.0.{number}.{server}\n    \
                     weight = 1\n  }}\n"
                )
            })
            .collect();
        format!(
            "virtual v{number} {{\n  active = 1\n  address = 192.0.2.80 eth0:1\n  port = {}\n{servers}}}\n",
            number + 1
        )
    };
    (0..count).map(service).collect()
}

const HEAD: &str = "serial_no = 1\nservice = lvs\nnetwork = direct\nmax_servers = 20\n";

fn file(head: &str, services: &[String]) -> String {
    format!("{head}{}", services.concat())
}

#[test]
fn one_service_that_changes_leaves_the_others_what_they_were() {
    let mut reader = Reader::default();
    let mut services = services(5);
    let first = reread(&mut reader, &file(HEAD, &services));
    assert!(!first.shortened);
    let first = first.config.expect("legal");
    services[3] = services[3].replacen("weight = 1", "weight = 7", 1);
    let head = HEAD.replace("serial_no = 1", "# a note\nserial_no = 2");
    for round in 0..2 {
        let reading = reread(&mut reader, &file(&head, &services));
        assert!(reading.shortened, "round {round}");
        let config = reading.config.expect("legal");
        assert_eq!(config.serial_no, 2);
        for (number, (before, after)) in first.services.iter().zip(&config.services).enumerate() {
            assert_eq!(Arc::ptr_eq(before, after), number != 3, "service {number}");
        }
        assert_eq!(config.services[3].servers[0].weight, 7);
    }
    // And back, and servers that come and go.
    services[3] = services[3].replacen("weight = 7", "weight = 1", 1);
    services[2] = services[2].replacen(
        "server s1 {",
        "server s9 {\n    active = 1\n    address = 10.0.2.9\n  }\n  server s1 {",
        1,
    );
    services[4] = services[4].replacen("active = 1\n    address = 10.0.4.2", "active = 0", 1);
    let reading = reread(&mut reader, &file(&head, &services));
    assert!(reading.shortened);
    assert_eq!(reading.config.expect("legal").services[2].servers.len(), 4);
}

#[test]
fn what_concerns_other_blocks_is_read_from_the_start() {
    let before = services(5);
    let known = file(HEAD, &before);
    let with = |number: usize, from: &str, to: &str| {
        let mut services = before.clone();
        services[number] = services[number].replacen(from, to, 1);
        assert_ne!(services, before, "nothing is replaced by {to}");
        file(HEAD, &services)
    };
    let many: String = (0..9)
        .map(|n| {
            format!(
                "server more{n} {{\n active = 1\n address = 10.1.0.{}\n }}\n",
                n + 1
            )
        })
        .collect();
    let mut fewer = before.clone();
    fewer.remove(2);
    let mut turned = before.clone();
    turned.swap(1, 2);
    let mut twice = before.clone();
    twice.insert(2, twice[1].clone());
    let cases = [
        known.replace("network = direct", "network = tunnel"),
        known.replace("service = lvs", "service = lvs\ncolour = blue"),
        known.replace("max_servers = 20", "max_servers = 10"),
        format!("{known}mark m {{\n  active = 1\n  mark = 7\n  address = 192.0.2.80\n}}\n"),
        with(3, "port = 4", "port = 2"),
        with(3, "port = 4", "port = 9"),
        with(3, "192.0.2.80", "192.0.2.81"),
        with(3, "eth0:1", "eth0:2"),
        with(3, "active = 1", "active = 0"),
        with(3, "virtual v3", "virtual v1"),
        with(3, "virtual v3", "virtual other"),
        with(3, "10.0.3.1", "192.0.2.80"),
        with(3, "10.0.3.1", "10.0.3.2"),
        with(3, "10.0.3.1", "web1.example"),
        with(3, "weight = 1", "weight = x"),
        with(3, "weight = 1", "weight = 1\n    weight = 2"),
        with(3, "weight = 1", "weight = 1\r"),
        with(3, "  port = 4", "  fwmark = 7\n  port = 4"),
        with(3, "  port = 4", "  vip_nmask = 255.255.255.0\n  port = 4"),
        with(3, "  server s1 {", &format!("{many}  server s1 {{")),
        with(1, "  }\n}\n", "  }\n"),
        // The brace that one block lacks stands in another.
        with(1, "  }\n}\n", "  }\n").replace("virtual v4", "}\nvirtual v4"),
        file(HEAD, &fewer),
        file(HEAD, &turned),
        file(HEAD, &twice),
    ];
    for text in cases {
        let mut reader = Reader::default();
        assert!(!reread(&mut reader, &known).shortened);
        assert!(
            !reread(&mut reader, &text).shortened,
            "of this file:\n{text}"
        );
        reread(&mut reader, &known);
    }
}

#[test]
fn a_name_is_resolved_each_time() {
    let mut reader = Reader::default();
    let text = file(HEAD, &services(3)).replace("10.0.2.1", "web1.example");
    for _ in 0..2 {
        assert!(!reread(&mut reader, &text).shortened);
    }
}

#[test]
fn a_file_with_a_fault_is_no_file_to_go_by() {
    let mut reader = Reader::default();
    let good = file(HEAD, &services(3));
    reread(&mut reader, &good);
    let bad = reread(&mut reader, &good.replacen("weight = 1", "weight = -1", 1));
    assert!(bad.config.is_none() && !bad.shortened);
    assert!(!reread(&mut reader, &good).shortened);
    assert!(reread(&mut reader, &good).shortened);
}

/// What is put in the place of a line, or before it.
const LINES: &[&str] = &[
    "",
    "  weight = 5\n",
    "    weight = 3\n",
    "  scheduler = rr\n",
    "  persistent = 300\n",
    "  active = 0\n",
    "  port = 3\n",
    "  address = 192.0.2.80 eth0:1\n",
    "  address = 192.0.2.81 eth0:2\n",
    "    address = 10.9.9.9\n",
    "    address = 192.0.2.80\n",
    "  vip_nmask = 255.255.255.0\n",
    "  sorry_server = 192.0.2.80\n",
    "  sorry_server = 10.9.9.9\n",
    "  fwmark = 3\n",
    "  forward = nat\n",
    "  monitor = none\n",
    "  monitor tcp {\n  }\n",
    "nat_router = 10.0.0.1 eth1:1\n",
    "serial_no = 9\n",
    "network = tunnel\n",
    "# a note\n",
    "\n",
    "}\n",
    "  }\n",
    "virtual v1 {\n",
    "virtual extra {\n  active = 1\n  address = 192.0.2.90 eth0:3\n  server x {\n    active = 1\n    address = 10.7.0.1\n  }\n}\n",
    "  server t {\n    active = 1\n    address = 10.8.0.1\n  }\n",
    "server\n{\n",
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Files that follow upon each other, each with a few lines other than the one before.
    #[test]
    fn a_file_means_what_it_means_by_itself(
        edits in prop::collection::vec(
            prop::collection::vec(
                (any::<prop::sample::Index>(), prop::sample::select(LINES), any::<bool>()),
                1..3,
            ),
            1..6,
        ),
        keep in any::<bool>(),
    ) {
        let mut reader = Reader::default();
        let base = file(HEAD, &services(5));
        reread(&mut reader, &base);
        let mut text = base.clone();
        for edit in edits {
            if !keep {
                text.clone_from(&base);
                reread(&mut reader, &text);
            }
            for (place, line, replace) in edit {
                let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
                let at = place.index(lines.len());
                lines.splice(at..at + usize::from(replace), [line]);
                text = lines.concat();
            }
            reread(&mut reader, &text);
        }
    }
}
