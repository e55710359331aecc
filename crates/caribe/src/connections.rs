//! `caribe connections`: the director's connections, page by page, so that neither it nor this
//! command ever holds all of them.

use std::io::{self, Write};
use std::process::ExitCode;

use caribe_dataplane::xdp::LiveConnection;
use caribe_director::{ConnectionsPage, ConnectionsQuery, ControlPaths};

use crate::arguments::ConnectionsArguments;
use crate::client::{Client, ClientError};

const NAME: &str = "caribe connections";

pub(crate) fn run(arguments: &ConnectionsArguments) -> ExitCode {
    match list(arguments, &mut io::BufWriter::new(io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough (`| head`) is no failure of the command.
        Err(ListError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    #[error("cannot write the question: {0}")]
    Query(#[from] serde_urlencoded::ser::Error),
    #[error("cannot write a connection as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

fn list(arguments: &ConnectionsArguments, out: &mut dyn Write) -> Result<(), ListError> {
    let client = Client::new(&arguments.runtime_dir)?;
    let mut query = query(arguments);
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    if !arguments.json {
        out.write_all(HEAD.as_bytes())?;
    }
    while left > 0 {
        query.limit = u32::try_from(left)
            .ok()
            .map(|it| it.min(ConnectionsQuery::MOST));
        let path = format!(
            "{}?{}",
            ControlPaths::CONNECTIONS,
            serde_urlencoded::to_string(&query)?
        );
        let page: ConnectionsPage = client.get(&path)?;
        for connection in &page.connections {
            if left == 0 {
                break;
            }
            left -= 1;
            if arguments.json {
                writeln!(out, "{}", serde_json::to_string(connection)?)?;
            } else {
                out.write_all(row(connection).as_bytes())?;
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    Ok(out.flush()?)
}

fn query(arguments: &ConnectionsArguments) -> ConnectionsQuery {
    let ConnectionsArguments {
        client,
        service,
        server,
        ..
    } = arguments;
    ConnectionsQuery {
        client: client.map(|end| end.address),
        client_port: client.and_then(|end| end.port),
        vip: service.map(|end| end.address),
        vip_port: service.and_then(|end| end.port),
        server: server.map(|end| end.address),
        server_port: server.and_then(|end| end.port),
        protocol: arguments.protocol,
        state: arguments.state.clone(),
        ..ConnectionsQuery::default()
    }
}

const HEAD: &str = "PROT EXPIRES STATE       CLIENT                VIP                   SERVER\n";

/// The line of a connection. Long addresses push what follows to the right.
fn row(connection: &LiveConnection) -> String {
    let protocol = match connection.protocol {
        // A template of a firewall mark: the mark stands where the VIP does.
        0 => "mark".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        132 => "SCTP".to_owned(),
        other => other.to_string(),
    };
    let left = connection.left.as_secs();
    let expires = format!("{}:{:02}", left / 60, left % 60);
    format!(
        "{protocol:<4} {expires:>7} {:<11} {:<21} {:<21} {}\n",
        connection.state,
        connection.client.to_string(),
        connection.vip.to_string(),
        connection.server
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use caribe_model::Forwarding;

    use super::*;

    #[test]
    fn a_row_stands_below_its_heads() {
        let connection = LiveConnection {
            protocol: 6,
            client: "198.51.100.7:40000".parse().expect("a client"),
            vip: "192.0.2.80:443".parse().expect("a VIP"),
            server: "10.0.0.2:8443".parse().expect("a server"),
            state: "ESTABLISHED".to_owned(),
            forwarding: Forwarding::Nat,
            active: true,
            template: false,
            left: Duration::from_secs(899),
        };
        let expected =
            "TCP    14:59 ESTABLISHED 198.51.100.7:40000    192.0.2.80:443        10.0.0.2:8443\n";
        assert_eq!(row(&connection), expected);
        for (head, value) in [("STATE", "ESTAB"), ("CLIENT", "198."), ("SERVER", "10.0")] {
            assert_eq!(HEAD.find(head), expected.find(value), "{head}");
        }
    }
}
