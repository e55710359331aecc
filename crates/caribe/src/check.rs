//! `caribe check`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use caribe_config::{Mode, Severity, Source, Style, SystemResolver, parse, render};
use caribe_director::Intent;

use crate::arguments::CheckArguments;
use crate::output;

pub(crate) fn run(arguments: &CheckArguments) -> ExitCode {
    let source = match Source::read(&arguments.file) {
        Ok(source) => source,
        Err(error) => {
            eprintln!("caribe check: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mode = if arguments.strict {
        Mode::Strict
    } else {
        Mode::Lenient
    };
    let style = if io::stderr().is_terminal() {
        Style::Coloured
    } else {
        Style::Plain
    };
    let parsed = parse(&source, mode, &SystemResolver::default());
    let mut findings = parsed.diagnostics.clone();
    findings.extend(parsed.notes.iter().cloned());
    findings.sort_by_key(|found| (found.line, found.column)); // stable: a note comes last
    eprint!("{}", render(&findings, &source, style));
    let count = |severity| {
        let all = parsed.diagnostics.iter();
        all.filter(|diagnostic| diagnostic.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut found = format!(
        "{}, {}",
        counted(errors, "error"),
        counted(warnings, "warning")
    );
    if !parsed.notes.is_empty() {
        found += &format!(", {}", counted(parsed.notes.len(), "recommendation"));
    }
    let name = source.name();
    let Some(config) = parsed.config else {
        eprintln!("{name}: not usable: {found}");
        return ExitCode::FAILURE;
    };
    match Intent::new(&config, &[]) {
        Ok(intent) => {
            let servers: usize = intent
                .services
                .iter()
                .map(|service| service.active_servers().count())
                .sum();
            let text = format!(
                "{name}: usable: {found}; {} with {}\n",
                counted(intent.services.len(), "active virtual service"),
                counted(servers, "active real server"),
            );
            output::show("caribe check", &text, ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("{name}: error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
