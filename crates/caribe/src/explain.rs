//! `caribe explain`.

use std::process::ExitCode;
use std::time::Duration;

use caribe_dataplane::{Explanation, Question};
use caribe_director::{ControlPaths, ExplanationText};

use crate::arguments::{ExplainArguments, TcpFlag};
use crate::client::{Client, ClientError};
use crate::output;

/// The first time the kernel has to check the programs that explain.
const TIMEOUT: Duration = Duration::from_secs(28);

/// The exit code of what was typed wrong, as clap has it.
const USAGE: u8 = 2;

pub(crate) fn run(arguments: &ExplainArguments) -> ExitCode {
    let question = question(arguments);
    if let Err(error) = question.check() {
        eprintln!("caribe explain: {error}");
        return ExitCode::from(USAGE);
    }
    let explanation = match ask(arguments, &question) {
        Ok(explanation) => explanation,
        Err(error) => {
            eprintln!("caribe explain: {error}");
            return ExitCode::FAILURE;
        }
    };
    if !arguments.json {
        let text = ExplanationText {
            question: &question,
            explanation: &explanation,
        };
        return output::show("caribe explain", &text.to_string(), ExitCode::SUCCESS);
    }
    match serde_json::to_string_pretty(&explanation) {
        Ok(mut json) => {
            json.push('\n');
            output::show("caribe explain", &json, ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("caribe explain: cannot write the answer as JSON: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(arguments: &ExplainArguments, question: &Question) -> Result<Explanation, ClientError> {
    let client = Client::new(&arguments.runtime_dir)?.patient(TIMEOUT);
    client.ask(ControlPaths::EXPLAIN, question)
}

fn question(arguments: &ExplainArguments) -> Question {
    let bit = |flag: &TcpFlag| match flag {
        TcpFlag::Fin => 0x01,
        TcpFlag::Syn => 0x02,
        TcpFlag::Rst => 0x04,
        TcpFlag::Psh => 0x08,
        TcpFlag::Ack => 0x10,
        TcpFlag::None => 0,
    };
    Question {
        protocol: arguments.protocol,
        client: arguments.client,
        vip: arguments.vip,
        tcp_flags: arguments
            .flags
            .iter()
            .map(bit)
            .fold(0, |all, one| all | one),
        payload: arguments.payload,
        interface: arguments.interface.clone(),
    }
}
