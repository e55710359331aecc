//! Every file of the corpus gives exactly the diagnostics that stand beside it.
//!
//! `corpus/good` is accepted, `corpus/bad` refused, and `corpus/strict` read as old Piranha would.
//! The diagnostics of `x.cf` are in `x.expected`, each as `line:column+length severity code:
//! message` with its hint below; recommendations follow, behind the errors and warnings. `CARIBE_REFRESH=1 cargo test -p caribe-config --test corpus`
//! writes them anew; read the difference before you commit it.

mod support;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use caribe_config::{Diagnostic, Mode, Severity, Source, parse};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name)
}

fn files(name: &str, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory(name))
        .expect("the corpus is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn written(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for found in diagnostics {
        writeln!(
            text,
            "{}:{}+{} {} {}: {}",
            found.line, found.column, found.length, found.severity, found.code, found.message
        )
        .expect("writing to a string");
        if let Some(hint) = &found.hint {
            writeln!(text, "    {hint}").expect("writing to a string");
        }
    }
    text
}

/// Compares each file of a directory with what is expected of it; gives their number.
fn check(name: &str, mode: Mode, accepted: impl Fn(&Path) -> Option<bool>) -> usize {
    let refresh = std::env::var_os("CARIBE_REFRESH").is_some();
    let mut wrong = String::new();
    let sources = files(name, "cf");
    for path in &sources {
        let text = std::fs::read(path).expect("readable");
        let parsed = parse(&Source::new("lvs.cf", text), mode, &support::resolver());
        let errors = parsed
            .diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Error)
            .count();
        assert_eq!(parsed.config.is_none(), errors > 0, "{}", path.display());
        let is_note = |found: &Diagnostic| found.severity == Severity::Note;
        assert!(parsed.notes.iter().all(is_note) && !parsed.diagnostics.iter().any(is_note));
        if let Some(accepted) = accepted(path) {
            assert_eq!(
                parsed.config.is_some(),
                accepted,
                "{}: {:#?}",
                path.display(),
                parsed.diagnostics
            );
        }
        let beside = path.with_extension("expected");
        let found = written(&parsed.diagnostics) + &written(&parsed.notes);
        if refresh {
            std::fs::write(&beside, &found).expect("writable");
        }
        let expected = std::fs::read_to_string(&beside).unwrap_or_else(|error| {
            panic!("{} is missing or unreadable: {error}", beside.display())
        });
        if found != expected {
            let _ = write!(
                wrong,
                "\n{}\n--- expected\n{expected}--- found\n{found}",
                path.display()
            );
        }
    }
    for beside in files(name, "expected") {
        assert!(
            beside.with_extension("cf").exists(),
            "{} belongs to no file",
            beside.display()
        );
    }
    assert!(wrong.is_empty(), "{wrong}");
    sources.len()
}

#[test]
fn good_files_are_accepted_with_exactly_these_warnings() {
    let files = check("good", Mode::Lenient, |_| Some(true));
    assert!(files >= 15, "only {files} good files");
}

#[test]
fn bad_files_give_every_expected_diagnostic_and_no_other() {
    let files = check("bad", Mode::Lenient, |_| Some(false));
    assert!(files >= 60, "only {files} bad files");
}

#[test]
fn strict_mode_refuses_what_piranha_refused_and_takes_what_it_took() {
    let is_sample = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("sample-"))
    };
    let files = check("strict", Mode::Strict, |path| Some(is_sample(path)));
    assert!(files >= 10, "only {files} files for strict mode");
}

#[test]
fn what_only_strict_mode_refuses_is_accepted_otherwise() {
    for path in files("strict", "cf") {
        if path.ends_with("unknown-key-and-brace.cf") {
            continue; // refused in both modes
        }
        let text = std::fs::read(&path).expect("readable");
        let parsed = support::parse_text(text, Mode::Lenient);
        assert!(
            parsed.config.is_some(),
            "{}: {:#?}",
            path.display(),
            parsed.diagnostics
        );
    }
}
