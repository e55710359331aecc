//! Real output of iptables 1.8.9 and nftables 1.0.6, and hostile text.

use std::fmt::Write;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::{FixedResolver, Mode, Severity, Source, parse};

/// What came of a text, for comparison with a file.
fn told(imported: &ImportedMarks) -> String {
    let mut text = imported.blocks.clone();
    for rule in &imported.untranslated {
        writeln!(text, "! {rule}").expect("writing to a string");
    }
    text
}

/// The blocks are an lvs.cf that has no error, and as many rules as there are blocks.
fn legal(imported: &ImportedMarks) {
    let service = "virtual v {\naddress = 192.0.2.80 eth0:1\n}\n";
    let text = format!("{}{service}", imported.blocks);
    let parsed = parse(
        &Source::new("imported", text.as_str()),
        Mode::Lenient,
        &FixedResolver::default(),
    );
    let errors: Vec<_> = parsed
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error && found.code != "too-many-marks")
        .collect();
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    if let Some(config) = parsed.config {
        assert_eq!(config.marks.len(), imported.count);
    }
}

#[test]
fn real_rules_become_blocks_or_are_named() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/import");
    let mut wrong = String::new();
    for name in [
        "iptables",
        "iptables-counted",
        "ip6tables",
        "nft",
        "nft-of-iptables",
        "nft-chains",
        "nft-handles",
    ] {
        let text = std::fs::read(directory.join(name).with_extension("txt")).expect("readable");
        let imported = marks(&text).expect("netfilter's");
        legal(&imported);
        let found = told(&imported);
        let beside = directory.join(name).with_extension("expected");
        if std::env::var_os("CARIBE_REFRESH").is_some() {
            std::fs::write(&beside, &found).expect("writable");
        }
        let expected = std::fs::read_to_string(&beside).expect("the expectation is there");
        if expected != found {
            write!(
                wrong,
                "\n{name}:\n--- expected\n{expected}--- found\n{found}"
            )
            .expect("text");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn counters_and_handles_change_nothing() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/import");
    let read = |name: &str| {
        let text = std::fs::read(directory.join(name)).expect("readable");
        marks(&text).expect("netfilter's")
    };
    assert_eq!(
        read("iptables.txt").blocks,
        read("iptables-counted.txt").blocks
    );
    assert_eq!(
        read("nft-chains.txt").blocks,
        read("nft-handles.txt").blocks
    );
}

/// Every rule of the text that sets a mark comes out in one of the two ways.
#[test]
fn no_rule_is_lost() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/import");
    for (name, sets) in [("iptables.txt", "-j MARK"), ("nft.txt", "meta mark set")] {
        let text = std::fs::read_to_string(directory.join(name)).expect("readable");
        let imported = marks(text.as_bytes()).expect("netfilter's");
        let mut rules = 0;
        for (number, line) in (1..).zip(text.lines()) {
            if !line.contains(sets) {
                continue;
            }
            rules += 1;
            let named = imported.untranslated.iter().any(|rule| rule.line == number);
            let comments = imported
                .blocks
                .lines()
                .filter_map(|line| line.strip_prefix("# line"));
            let translated = comments.into_iter().any(|comment| {
                let lines = comment.trim_start_matches('s').split(':').next();
                lines.is_some_and(|lines| {
                    lines
                        .split(',')
                        .any(|line| line.trim() == number.to_string())
                })
            });
            assert!(named != translated, "{name}:{number}: {line}");
        }
        assert!(rules > 20, "{name}");
    }
}

#[test]
fn the_first_rule_that_ends_the_chain_counts() {
    let rule = |address: &str, mark: u32, verdict: &str| {
        format!("ip daddr {address} meta mark set {mark} {verdict}\n")
    };
    let rules = [
        rule("192.0.2.0/24", 1, ""),
        rule("192.0.2.1", 2, "accept"),
        rule("192.0.2.0/25", 3, ""),
        rule("192.0.2.0/30", 4, "accept"),
        rule("0.0.0.0/0", 5, ""),
    ];
    let text = format!(
        "table ip a {{\nchain b {{\ntype filter hook prerouting priority mangle;\n{}}}\n}}\n",
        rules.concat()
    );
    let imported = marks(text.as_bytes()).expect("nft's");
    let order: Vec<&str> = imported
        .blocks
        .lines()
        .filter_map(|line| line.trim().strip_prefix("mark = "))
        .collect();
    assert_eq!(order, ["1", "3", "5", "4", "2"]);
    assert_eq!(imported.untranslated, []);
}

#[test]
fn a_field_that_is_asked_for_twice_is_not_translated() {
    for rule in [
        "tcp dport 80 tcp dport 443 meta mark set 1",
        "ip daddr 192.0.2.1 ip daddr 192.0.2.2 meta mark set 1",
        "meta l4proto tcp udp dport 53 meta mark set 1",
        "meta mark set 1 tcp dport 80",
        "meta mark set 1 accept tcp dport 80",
        "meta mark 3 meta mark set 1",
    ] {
        let text = format!(
            "table ip a {{\nchain b {{\ntype filter hook prerouting priority 0;\n{rule}\n}}\n}}\n"
        );
        let imported = marks(text.as_bytes()).expect("nft's");
        assert_eq!(
            (imported.count, imported.untranslated.len()),
            (0, 1),
            "{rule}"
        );
    }
}

/// Marks of the blocks in order, and lines without one.
fn outcome(text: &str) -> (Vec<String>, Vec<usize>) {
    let imported = marks(text.as_bytes()).expect("netfilter's");
    legal(&imported);
    let lines = imported.blocks.lines();
    let marks = lines.filter_map(|line| line.trim().strip_prefix("mark = "));
    let untranslated = imported.untranslated.iter();
    (
        marks.map(str::to_owned).collect(),
        untranslated.map(|rule| rule.line).collect(),
    )
}

#[test]
fn what_comes_behind_ipvs_marks_in_vain() {
    let chain = |hook: &str, priority: &str| {
        format!(
            "table inet a {{\nchain b {{\ntype filter hook {hook} priority {priority}; policy \
             accept;\nmeta mark set 1\n}}\n}}\n"
        )
    };
    for (hook, priority) in [
        ("input", "98"),
        ("input", "security"),
        ("prerouting", "300"),
    ] {
        assert_eq!(
            outcome(&chain(hook, priority)).1,
            [0; 0],
            "{hook} {priority}"
        );
    }
    for priority in ["99", "100", "security + 50", "300"] {
        assert_eq!(outcome(&chain("input", priority)).1, [4], "{priority}");
    }
    for (table, chain, untranslated) in [
        ("nat", "INPUT", 1),
        ("nat", "PREROUTING", 0),
        ("mangle", "INPUT", 0),
        ("security", "INPUT", 0),
    ] {
        let text = format!("*{table}\n-A {chain} -p tcp -j MARK --set-mark 1\nCOMMIT\n");
        assert_eq!(outcome(&text).1.len(), untranslated, "{table} {chain}");
    }
}

#[test]
fn chains_of_one_priority_have_no_order() {
    let text = |family: &str, rules: [&str; 2]| {
        let chain = |name: &str, rule: &str| {
            format!(
                "table {family} {name} {{\nchain c {{\ntype filter hook prerouting priority \
                 mangle;\n{rule}\nudp dport 1 meta mark set 9\n}}\n}}\n"
            )
        };
        chain("a", rules[0]) + &chain("b", rules[1])
    };
    let rules = [
        "ip daddr 192.0.2.0/24 tcp dport 80-90 meta mark set 1",
        "ip daddr 192.0.2.1 meta l4proto { tcp, udp } th dport 90 meta mark set 2",
    ];
    assert_eq!(outcome(&text("ip", rules)).1, [4, 11]);
    for other in [
        "ip daddr 192.0.2.1 tcp dport 90 meta mark set 1",
        "ip daddr 192.0.2.1 tcp dport 91 meta mark set 2",
        "ip daddr 192.0.2.1 udp dport 90 meta mark set 2",
        "ip daddr 192.0.3.1 tcp dport 90 meta mark set 2",
        "ip6 daddr ::/0 tcp dport 90 meta mark set 2",
    ] {
        let (_, untranslated) = outcome(&text("inet", [rules[0], other]));
        assert_eq!(untranslated, [0; 0], "{other}");
    }
    let ordered = text("ip", rules).replacen("mangle", "mangle + 1", 1);
    assert_eq!(outcome(&ordered).0, ["2", "2", "9", "1", "9"]);
}

/// As nft lists `--dport :22` of iptables.
#[test]
fn open_ranges_of_ports() {
    let ports = |written: &str| {
        let text = format!(
            "table ip a {{\nchain b {{\ntype filter hook input priority 0;\nudp dport {written} \
             meta mark set 1\n}}\n}}\n"
        );
        let imported = marks(text.as_bytes()).expect("nft's");
        legal(&imported);
        let mut lines = imported.blocks.lines();
        lines
            .find_map(|line| line.trim().strip_prefix("port = "))
            .map(str::to_owned)
    };
    for (written, expected) in [
        ("<= 22", Some("0-22")),
        ("< 22", Some("0-21")),
        ("> 65000", Some("65001-65535")),
        (">= 65535", Some("65535")),
        ("< 0", None),
        ("> 65535", None),
        ("<= x", None),
        ("!= 22", None),
    ] {
        assert_eq!(ports(written).as_deref(), expected, "{written}");
    }
}

#[test]
fn other_texts_are_refused() {
    for text in ["", "hello\n", "virtual a {\n}\n", "\0\u{1}"] {
        assert_eq!(
            marks(text.as_bytes()),
            Err(ImportError::UnknownFormat),
            "{text:?}"
        );
    }
    assert_eq!(marks(&vec![b'*'; MAX_SIZE + 1]), Err(ImportError::TooLarge));
}

#[test]
fn hostile_comments_stay_comments() {
    let text = "*mangle\n-A PREROUTING -d 192.0.2.1/32 -m comment --comment \"x\u{85}\u{2028}\\\n\
                active = 0\u{1b}[2J\" -j MARK --set-mark 1\n\
                -A PREROUTING -d 192.0.2.2/32 -m comment --comment \"\u{1b}[2J\" -j MARK --set-mark 1\n";
    let imported = marks(text.as_bytes()).expect("iptables'");
    legal(&imported);
    assert!(imported.blocks.chars().all(|c| c == '\n' || !is_unseen(c)));
    assert!(
        imported
            .untranslated
            .iter()
            .all(|rule| !rule.to_string().chars().any(is_unseen))
    );
}

fn is_unseen(character: char) -> bool {
    crate::diagnostic::is_steering(character)
}

const PIECES: &[&str] = &[
    "*mangle\n",
    "-A PREROUTING ",
    "-d 192.0.2.1/32 ",
    "-p tcp ",
    "--dport 80:90 ",
    "! ",
    "-j MARK --set-xmark 0x50/0xffffffff\n",
    "-j ACCEPT\n",
    "\"",
    "\\",
    "\n",
    "-A ",
    "COMMIT\n",
    "table inet a {\n",
    "chain b {\n",
    "type filter hook prerouting priority mangle - 5;\n",
    "ip daddr ",
    "192.0.2.1 ",
    "{ 192.0.2.1, 192.0.2.2 } ",
    "tcp dport ",
    "{ 80, 90-99 } ",
    "meta mark set 0x50 ",
    "mark set ",
    "accept",
    "}\n",
    "}",
    "{",
    "@x ",
    "!= ",
    "jump {\n",
    "comment \"x\"",
    "map ",
    ". ",
    "log prefix \"a\" ",
    "counter packets 1 bytes 2 ",
    "\u{1b}[2J",
    "ip6 daddr ::/0 ",
    "th dport 1 ",
    "meta l4proto { tcp, udp } ",
    "99999999999999999999 ",
];

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_gives_legal_blocks_or_an_error(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..50),
        head in prop::sample::select(&["*mangle\n", "table ip x {\nchain y {\n", ""][..]),
    ) {
        if let Ok(imported) = marks((head.to_owned() + &pieces.concat()).as_bytes()) {
            legal(&imported);
            let told = told(&imported);
            prop_assert!(told.chars().all(|c| c == '\n' || !is_unseen(c)), "{told:?}");
        }
    }
}
