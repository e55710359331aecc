//! `caribe save`.

use std::process::ExitCode;

use caribe_director::{ControlPaths, SaveReport};

use crate::arguments::SaveArguments;
use crate::client::Client;
use crate::output;

pub(crate) fn run(arguments: &SaveArguments) -> ExitCode {
    let client = Client::new(&arguments.runtime_dir);
    let report: SaveReport = match client.and_then(|client| client.ask(ControlPaths::SAVE, &())) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("caribe save: {error}");
            return ExitCode::FAILURE;
        }
    };
    for unsaved in &report.unsaved {
        eprintln!("caribe save: not saved: {unsaved}");
    }
    let text = if report.changed {
        format!(
            "{} was written; a reload makes it the configuration\n",
            report.file
        )
    } else {
        format!("{} already says what the table holds\n", report.file)
    };
    let code = if report.unsaved.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    output::show("caribe save", &text, code)
}
