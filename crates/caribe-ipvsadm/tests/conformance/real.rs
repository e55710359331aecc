//! Our command line beside that of the real ipvsadm 1.31: the same words, and both must say the
//! same on both streams, end with the same code, and ask the same of the kernel, byte for byte.
//!
//! The real program gets a kernel by a small library (`kernel.c`) that stands between it and its
//! socket. That way there is no IPv6 in its calls, so for IPv6 services the comparison ends with
//! the words being accepted.

mod recorder;
mod words;

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::program::Said;
use recorder::ours;

/// Debian's ipvsadm.
const REAL: &str = "/usr/sbin/ipvsadm";

/// The real program, with a kernel.
struct Real {
    library: PathBuf,
    _directory: TempDir,
}

impl Real {
    fn new() -> Self {
        assert!(
            Path::new(REAL).exists(),
            "{REAL} is missing: apt-get install ipvsadm"
        );
        let directory = tempfile::tempdir().expect("a directory");
        let library = directory.path().join("kernel.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/kernel.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-Wall", "-o"])
            .args([&library, &source])
            .output()
            .expect("a C compiler, which linking needs as well");
        assert!(compiled.status.success(), "{compiled:?}");
        Real {
            library,
            _directory: directory,
        }
    }

    fn run(&self, words: &[&str], input: &str) -> Said {
        let mut child = Command::new(REAL)
            .arg0("ipvsadm")
            .args(words)
            .env("LD_PRELOAD", &self.library)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ipvsadm runs");
        let mut stdin = child.stdin.take().expect("piped");
        // A program that refuses its words does not read.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Said {
            out: text(output.stdout),
            error: text(output.stderr),
            code: u8::try_from(output.status.code().unwrap_or(-1)).unwrap_or(254),
        }
    }

    /// Compares both on these words; a difference in words.
    fn compare(&self, words: &[&str], input: &str) -> Result<(), String> {
        let (mut real, mut ours) = (self.run(words, input), ours(words, input));
        // The usage is in our own words, and so is the version.
        for said in [&mut real, &mut ours] {
            if said.out.starts_with("ipvsadm v1.31 ") {
                said.out = "help or version".to_owned();
            }
        }
        if real == ours {
            return Ok(());
        }
        Err(format!(
            "{words:?} {input:?}\n  real {real:?}\n  ours {ours:?}\n"
        ))
    }
}

fn assert_none(differences: &[String], of: usize) {
    assert!(
        differences.is_empty(),
        "{} of {of} differ:\n{}",
        differences.len(),
        differences[..differences.len().min(20)].concat()
    );
}

#[test]
fn chosen_words_mean_the_same() {
    let real = Real::new();
    let lines: Vec<&str> = include_str!("real/chosen.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let mut differences = Vec::new();
    for line in &lines {
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| if word == "''" { "" } else { word })
            .collect();
        differences.extend(real.compare(&words, "").err());
    }
    assert!(lines.len() > 250, "only {} lines", lines.len());
    assert_none(&differences, lines.len());
}

#[test]
fn random_words_mean_the_same() {
    let real = Real::new();
    let mut random = words::Random::new(1);
    let mut differences = Vec::new();
    let count = 800;
    for _ in 0..count {
        let words = random.command();
        differences.extend(real.compare(&words, "").err());
    }
    assert_none(&differences, count);
}

#[test]
fn random_lines_are_restored_the_same() {
    let real = Real::new();
    let mut random = words::Random::new(2);
    let mut differences = Vec::new();
    let count = 150;
    for _ in 0..count {
        let mut input = String::new();
        for _ in 0..4 {
            // Empty words cannot be written in a line.
            let words = random.command();
            input.push_str(&words.join(random.blank()));
            input.push_str(random.line_end());
        }
        differences.extend(real.compare(&["-R"], &input).err());
    }
    assert_none(&differences, count);
}
