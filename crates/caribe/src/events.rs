//! `caribe events`: what happens to services and real servers, as it happens.

use std::process::ExitCode;

use caribe_director::{ControlPaths, Happening, HappeningsPage, Told, What};
use caribe_health::probe::Finding;
use caribe_health::{MonitorName, Standing};

use crate::arguments::EventsArguments;
use crate::client::{Client, ClientError};
use crate::moment::utc;
use crate::output;

const NAME: &str = "caribe events";

/// How long one question waits for news, in seconds; the next one follows at once.
const WAIT: u64 = 5;

pub(crate) fn run(arguments: &EventsArguments) -> ExitCode {
    match follow(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn follow(arguments: &EventsArguments) -> Result<ExitCode, ClientError> {
    let client = Client::new(&arguments.runtime_dir)?;
    let (mut after, mut wait) = (0, 0);
    loop {
        let path = format!("{}?after={after}&wait={wait}", ControlPaths::EVENTS);
        let page: HappeningsPage = client.get(&path)?;
        if page.last < after {
            eprintln!("{NAME}: the director was started anew; its events begin again");
            after = 0;
        }
        let mut text = String::new();
        for told in &page.happenings {
            let number = told.happening.number;
            if number > after + 1 {
                eprintln!(
                    "{NAME}: {} earlier events are forgotten",
                    number - after - 1
                );
            }
            after = number;
            match arguments.json {
                true => text.push_str(&serde_json::to_string(told)?),
                false => text.push_str(&line(told)),
            }
            text.push('\n');
        }
        match output::print(&text) {
            Ok(true) if arguments.follow => wait = WAIT,
            Ok(_) => return Ok(ExitCode::SUCCESS),
            Err(error) => {
                eprintln!("{NAME}: cannot write to standard output: {error}");
                return Ok(ExitCode::FAILURE);
            }
        }
    }
}

/// One line for a person.
fn line(told: &Told) -> String {
    let Happening {
        service,
        name,
        server_name,
        what,
        ..
    } = &told.happening;
    let at = utc(told.at / 1000);
    let whom = match (what.server(), server_name) {
        (Some(server), Some(own)) => format!("{own} ({server}) in {name} ({service})"),
        (Some(server), None) => format!("{server} in {name} ({service})"),
        (None, _) => format!("{name} ({service})"),
    };
    let happened = match what {
        What::Server {
            standing, reason, ..
        } => {
            let standing = match standing {
                Standing::Up => "up",
                Standing::Down => "DOWN",
                Standing::Checking => "checking",
            };
            let reason = reason.as_ref().map(|reason| format!(": {reason}"));
            format!("{standing}{}", reason.unwrap_or_default())
        }
        What::Verdict {
            monitor,
            passed,
            finding,
            ..
        } => verdict(monitor, *passed, finding),
        What::Order { order, by, .. } => {
            let order = order.map_or("ready".to_owned(), |order| order.to_string());
            format!("{order}, ordered by {by}")
        }
        What::Quorum { lost: true } => "too few servers: the quorum is lost".to_owned(),
        What::Quorum { lost: false } => "enough servers again".to_owned(),
    };
    format!("{at} {whom}: {happened}")
}

/// What a monitor thinks, and why.
pub(crate) fn verdict(monitor: &MonitorName, passed: bool, finding: &Finding) -> String {
    let verdict = if passed { "passes" } else { "fails" };
    format!("{monitor} {verdict}: {finding}")
}

#[cfg(test)]
mod tests {
    use caribe_health::Order;
    use caribe_model::{Protocol, ServerKey, ServiceKey};

    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let told = Told {
            at: 1_800_000_000_123,
            happening: Happening {
                number: 7,
                service: ServiceKey::Address {
                    protocol: Protocol::Tcp,
                    address: [192, 0, 2, 1].into(),
                    port: 80,
                },
                name: "shop".to_owned(),
                server_name: Some("web1".to_owned()),
                what: What::Order {
                    server: ServerKey {
                        address: [10, 0, 0, 1].into(),
                        port: 8080,
                    },
                    order: Some(Order::Weight(5)),
                    by: "ann (uid 1000)".to_owned(),
                },
            },
        };
        assert_eq!(
            line(&told),
            "2027-01-15T08:00:00Z web1 (10.0.0.1:8080) in shop (TCP 192.0.2.1:80): weight 5, \
             ordered by ann (uid 1000)"
        );
    }
}
