//! `caribe import` as a user meets it; nothing here needs root.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const TRANSLATED: &str = "\
*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 192.0.2.80/32 -p tcp -m multiport --dports 80,443 -j MARK --set-xmark 0x50/0xffffffff
COMMIT
";

const BLOCK: &str = "\
# line 3
mark mark_80 {
     active = 1
     mark = 80
     address = 192.0.2.80
     protocol = tcp
     port = 80,443
}
";

fn import(directory: &Path, file: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_caribe"))
        .args(["import", "marks"])
        .args(file)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut pipe = child.stdin.take().expect("piped");
    // A command that does not read its input closes it.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn rules_become_blocks_that_check_accepts() {
    let directory = tempfile::tempdir().expect("a directory");
    for words in [&[][..], &["-"]] {
        let output = import(directory.path(), words, TRANSLATED);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(
            (text(&output.stdout).as_str(), output.stderr.len()),
            (BLOCK, 0)
        );
    }
    fs::write(directory.path().join("rules"), TRANSLATED).expect("written");
    let output = import(directory.path(), &["rules"], "");
    assert_eq!(text(&output.stdout), BLOCK);

    let service = "\
network = direct
virtual shop {
     active = 1
     address = 192.0.2.80 eth0:1
     fwmark = 80
     server web1 {
         active = 1
         address = 192.0.2.101
     }
}
";
    fs::write(directory.path().join("lvs.cf"), format!("{service}{BLOCK}")).expect("written");
    let check = Command::new(env!("CARGO_BIN_EXE_caribe"))
        .args(["check", "lvs.cf"])
        .current_dir(directory.path())
        .output()
        .expect("the binary runs");
    assert_eq!(check.status.code(), Some(0), "{check:?}");
    assert!(!text(&check.stderr).contains("unfed-mark"), "{check:?}");
}

#[test]
fn what_cannot_be_translated_is_named_and_the_rest_is_done() {
    let directory = tempfile::tempdir().expect("a directory");
    let rules = TRANSLATED.replace(
        "COMMIT",
        "-A PREROUTING -i eth0 -d 192.0.2.81/32 -j MARK --set-xmark 0x51/0xffffffff\nCOMMIT",
    );
    let output = import(directory.path(), &[], &rules);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(text(&output.stdout), BLOCK);
    assert_eq!(
        text(&output.stderr),
        "line 4: not translated: a `mark` block does not ask for the interface (`-i`): \
         `-A PREROUTING -i eth0 -d 192.0.2.81/32 -j MARK --set-xmark 0x51/0xffffffff`\n"
    );
}

#[test]
fn what_is_no_list_of_rules_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = import(directory.path(), &[], "virtual a {\n}\n");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("iptables-save"), "{output:?}");
    let output = import(directory.path(), &["missing"], "");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        text(&output.stderr).contains("cannot read missing"),
        "{output:?}"
    );
    assert_eq!(output.stdout, b"");
}
