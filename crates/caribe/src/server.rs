//! `caribe server`: an operator's orders about real servers, and what happened to them.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use caribe_director::{
    ControlPaths, OrderRequest, ServerHistory, ServerStatus, ServiceStatus, Status,
};
use caribe_health::{Occurrence, Order, ServerId, Standing};
use caribe_model::{ServerKey, ServiceKey};

use crate::arguments::{ServerArguments, ServerVerb, Whom};
use crate::client::{Client, ClientError};
use crate::events::verdict;
use crate::moment::{now, utc};
use crate::output;

const NAME: &str = "caribe server";

pub(crate) fn run(arguments: &ServerArguments) -> ExitCode {
    match act(arguments) {
        Ok(text) => output::show(NAME, &text, ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ServerError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(
        "no active real server `{server}` in a virtual service `{service}`: `caribe status` lists \
         names and addresses"
    )]
    Nobody { service: String, server: String },
}

fn act(arguments: &ServerArguments) -> Result<String, ServerError> {
    let client = Client::new(&arguments.runtime_dir)?;
    let (whom, order) = match &arguments.verb {
        ServerVerb::Drain(whom) => (whom, Some(Order::Drain)),
        ServerVerb::Maintenance(whom) => (whom, Some(Order::Maintenance)),
        ServerVerb::Weight { whom, weight } => (whom, Some(Order::Weight(*weight))),
        ServerVerb::Ready(whom) => (whom, None),
        ServerVerb::History(whom) => return history(&client, whom),
    };
    let status: Status = client.get(ControlPaths::STATUS)?;
    let mut text = String::new();
    for (service, server) in meant(&status, whom)? {
        let id = ServerId {
            service: service.key,
            server: ServerKey {
                address: server.address,
                port: server.port,
            },
        };
        client.post(ControlPaths::ORDERS, &OrderRequest { id, order })?;
        let what = order.map_or("ready".to_owned(), |order| order.to_string());
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} ({}) in {} ({}): {what}",
            server.name, id.server, service.name, id.service
        );
    }
    Ok(text)
}

/// The servers that the words mean: by name, address, or address and port.
fn meant<'a>(
    status: &'a Status,
    whom: &Whom,
) -> Result<Vec<(&'a ServiceStatus, &'a ServerStatus)>, ServerError> {
    let services = status.services.iter().filter(|service| {
        let place = match service.key {
            ServiceKey::Address { address, port, .. } => Some((address, port)),
            ServiceKey::Mark { .. } => None,
        };
        is_meant(&whom.service, &service.name, place)
    });
    let servers = services.flat_map(|service| {
        let servers = service.servers.iter().filter(|server| {
            let place = Some((server.address, server.port));
            is_meant(&whom.server, &server.name, place)
        });
        servers.map(move |server| (service, server))
    });
    let found: Vec<_> = servers.collect();
    if found.is_empty() {
        return Err(ServerError::Nobody {
            service: whom.service.clone(),
            server: whom.server.clone(),
        });
    }
    Ok(found)
}

fn is_meant(word: &str, name: &str, place: Option<(IpAddr, u16)>) -> bool {
    let by_place = place.is_some_and(|(address, port)| {
        word.parse() == Ok(address) || word.parse() == Ok(SocketAddr::new(address, port))
    });
    by_place || word == name
}

fn history(client: &Client, whom: &Whom) -> Result<String, ServerError> {
    let status: Status = client.get(ControlPaths::STATUS)?;
    let all: Vec<ServerHistory> = client.get(ControlPaths::HISTORY)?;
    let mut text = String::new();
    for (service, server) in meant(&status, whom)? {
        let key = ServerKey {
            address: server.address,
            port: server.port,
        };
        let mut histories = all.iter();
        let found = histories.find(|it| it.service == service.key && it.server == key);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} ({key}) in {} ({})",
            server.name, service.name, service.key
        );
        for past in found.iter().flat_map(|history| &history.past) {
            let at = utc(now().saturating_sub(past.seconds_ago));
            let _ = writeln!(text, "  {at}  {}", told(&past.what));
        }
    }
    Ok(text)
}

fn told(what: &Occurrence) -> String {
    match what {
        Occurrence::Verdict {
            monitor,
            passed,
            finding,
        } => verdict(monitor, *passed, finding),
        Occurrence::Standing(Standing::Up) => "up".to_owned(),
        Occurrence::Standing(Standing::Down) => "DOWN".to_owned(),
        Occurrence::Standing(Standing::Checking) => "checking".to_owned(),
        Occurrence::Agent(report) => {
            let mut words = Vec::new();
            words.extend(
                report
                    .health
                    .map(|health| format!("{health:?}").to_lowercase()),
            );
            words.extend(report.wish.map(|wish| format!("{wish:?}").to_lowercase()));
            words.extend(report.weight.map(|weight| format!("{}%", weight.get())));
            words.extend(report.maxconn.map(|most| format!("maxconn:{most}")));
            words.extend(report.reason.iter().map(|reason| format!("# {reason}")));
            format!("agent: {}", words.join(" "))
        }
        Occurrence::Order { order, by } => {
            let order = order.map_or("ready".to_owned(), |order| order.to_string());
            format!("{order}, ordered by {by}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_meant_by_name_address_or_place() {
        let place = Some(("2001:db8::1".parse().expect("an address"), 80));
        for word in ["web", "2001:db8::1", "2001:DB8:0::1", "[2001:db8::1]:80"] {
            assert!(is_meant(word, "web", place), "{word}");
        }
        for word in [
            "",
            "we",
            "2001:db8::2",
            "[2001:db8::1]:81",
            "2001:db8::1:80",
        ] {
            assert!(!is_meant(word, "web", place), "{word}");
        }
        assert!(is_meant("web", "web", None));
        assert!(!is_meant("0.0.0.0", "web", None));
    }
}
