//! `caribe status`.

use std::process::ExitCode;

use caribe_director::{ControlPaths, Status, StatusText};

use crate::arguments::StatusArguments;
use crate::client::Client;
use crate::moment::now;
use crate::output;

pub(crate) fn run(arguments: &StatusArguments) -> ExitCode {
    let client = Client::new(&arguments.runtime_dir);
    let status: Status = match client.and_then(|client| client.get(ControlPaths::STATUS)) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("caribe status: {error}");
            return ExitCode::FAILURE;
        }
    };
    if !arguments.json {
        let text = StatusText {
            status: &status,
            now: now(),
        }
        .to_string();
        return output::show("caribe status", &text, ExitCode::SUCCESS);
    }
    match serde_json::to_string_pretty(&status) {
        Ok(mut json) => {
            json.push('\n');
            output::show("caribe status", &json, ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("caribe status: cannot write the status as JSON: {error}");
            ExitCode::FAILURE
        }
    }
}
