//! What holds for every text: reading never panics, and a tree is written back as it was read.

mod support;

use std::path::Path;

use caribe_config::tree::Document;
use caribe_config::{Mode, Severity, Source, Style, parse, render};
use proptest::prelude::*;

/// Pieces of which lvs.cf files are made, so that random texts get past the lexer.
const PIECES: &[&str] = &[
    "virtual",
    "failover",
    "server",
    " a ",
    " b",
    "{",
    "}",
    "\n",
    "\r\n",
    "\r",
    "=",
    " = ",
    "#",
    "# note",
    "\"",
    "'",
    "\\\"",
    "\\",
    " ",
    "\t",
    "port",
    "address",
    "active = 1\n",
    "weight",
    "scheduler",
    "wlc",
    "192.0.2.1",
    " eth0:1",
    "2001:db8::1",
    "host.example",
    "nosuch",
    "080",
    "-1",
    "99999999999999999999",
    "http",
    "vip_nmask",
    "255.255.0.255",
    "64",
    "send = ",
    "fos",
    "service",
    "network = tunnel\n",
    "persistent = 3\n",
    "mark m {\n",
    "mark = 7\n",
    "port = 80,443-450\n",
    "address = 192.0.2.0/24\n",
    "monitor http {\n",
    "monitor udp {\n",
    "interval = 0.5\n",
    "header = \"a: b\"\n",
    "status = 200-299,301\n",
    "expect = \"(\"\n",
    "use_regex = 1\n",
    "\\xff",
    "tunnel = gue\n",
    "tunnel_port = 6080\n",
    "upper_threshold = 9\n",
    "mss_clamp = auto\n",
    "sorry_server = 192.0.2.9\n",
    "quorum_up = 2\n",
    "fwmark = 1\n",
    "\u{feff}",
    "\u{a0}",
    "virtual v {\n",
    "server s {\n",
    "}\n",
    "address = 192.0.2.80 eth0:1\n",
    "protocol = udp\n",
    "address = 192.0.2.9\n",
    "backup_active = 1\n",
    "backup = 192.0.2.2\n",
    "[ x ]",
    "ñ",
];

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..60)
        .prop_map(|pieces| pieces.concat().into_bytes());
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![4 => pieces, 1 => bytes]
}

fn hold(text: &[u8]) {
    let source = Source::new("lvs.cf", text);
    for mode in [Mode::Lenient, Mode::Strict] {
        let parsed = parse(&source, mode, &support::resolver());
        let errors = parsed
            .diagnostics
            .iter()
            .any(|found| found.severity == Severity::Error);
        assert_eq!(parsed.config.is_none(), errors);
        for found in &parsed.diagnostics {
            assert!(found.line >= 1 && found.column >= 1);
            // What is wrong with a value says what the value should be.
            let says_so = found.message.contains(" takes ");
            assert!(found.hint.is_some() || says_so, "{found} has no hint");
        }
        let (document, _) = Document::read(&source, mode);
        assert_eq!(document.to_bytes(), text, "the tree lost something");
        if mode == Mode::Strict {
            let shown = render(&parsed.diagnostics, &source, Style::Plain);
            let harmless = shown.chars().all(|c| c == '\n' || !c.is_control());
            assert!(harmless, "{shown:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        // A failure prints its input: put that into the corpus.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn reading_never_panics_and_loses_nothing(text in any_text()) {
        hold(&text);
    }

    /// A file that is accepted means the same when it was written back after a change that
    /// changes nothing.
    #[test]
    fn setting_a_key_to_its_value_changes_no_meaning(value in "[ -~]{0,30}") {
        let text = "network = direct\nvirtual v {\n  address = 192.0.2.80 eth0:1\n}\n";
        let (mut document, _) = Document::read(&Source::new("lvs.cf", text), Mode::Lenient);
        let service = document.body_mut().blocks_mut().next().expect("one service");
        if service.set("send_program", &[&value]).is_ok() {
            prop_assert_eq!(service.body().values("send_program"), Some(vec![value.clone()]));
            let parsed = support::parse_text(document.to_bytes(), Mode::Lenient);
            let config = parsed.config.expect("still legal");
            let words: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
            let program = config.services[0].monitor.send_program.as_ref();
            prop_assert_eq!(program.map_or(&[][..], |program| program.words()), words);
        }
    }
}

#[test]
fn the_corpus_too() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut files = 0;
    for directory in ["good", "bad", "strict"] {
        for entry in std::fs::read_dir(corpus.join(directory)).expect("the corpus is there") {
            let text = std::fs::read(entry.expect("readable").path()).expect("readable");
            hold(&text);
            files += 1;
        }
    }
    assert!(files > 150);
}

#[test]
fn a_huge_file_is_refused_and_a_hostile_one_is_bounded() {
    let parsed = support::parse_text(vec![b'\n'; Source::MAX_SIZE + 1], Mode::Lenient);
    assert!(parsed.config.is_none());
    assert_eq!(parsed.diagnostics.len(), 1);
    assert_eq!(parsed.diagnostics[0].code, "file-too-large");

    let parsed = support::parse_text("a b {\n".repeat(100_000), Mode::Lenient);
    assert!(parsed.config.is_none());
    assert_eq!(parsed.diagnostics.len(), 1_001);
    let last = parsed.diagnostics.last().expect("there are some");
    assert_eq!((last.code, last.severity), ("too-many", Severity::Error));

    // Many warnings do not hide an error behind them.
    let text = "serial_no = 1\n".repeat(2_000) + "colour = blue\nnetwork = direct\n";
    let parsed = support::parse_text(text, Mode::Lenient);
    assert!(parsed.config.is_none());
    let unknown = |found: &caribe_config::Diagnostic| found.code == "unknown-key";
    assert!(parsed.diagnostics.iter().any(unknown));
}
