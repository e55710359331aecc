//! `-L -c`.

use std::net::SocketAddr;

use super::place;
use crate::{Connection, ConnectionProtocol, Names};

/// The two lines at the top.
pub(crate) fn header(engines: bool) -> String {
    let (state, source, to) = ("state", "source", "virtual");
    let title = "IPVS connection entries\n";
    if engines {
        format!(
            "{title}pro expire {state:<11} {source:<18} {to:<18} {:<18} {:<16} {}\n",
            "destination", "pe name", "pe_data"
        )
    } else {
        format!("{title}pro expire {state:<11} {source:<18} {to:<18} destination\n")
    }
}

/// The line of a connection.
pub(crate) fn row(connection: &Connection, engines: bool, names: &dyn Names) -> String {
    let protocol = match connection.protocol {
        ConnectionProtocol::Transport(protocol) => Some(protocol),
        ConnectionProtocol::Mark => None,
    };
    let name = |at: SocketAddr| place(at.ip(), at.port(), protocol, names);
    // The minutes have no bound.
    let expires = format!(
        "{:02}:{:02}",
        connection.expires / 60,
        connection.expires % 60
    );
    let common = format!(
        "{:<3} {expires:<6} {:<11} {:<18} {:<18}",
        connection.protocol,
        connection.state,
        name(connection.client),
        name(connection.virtual_address),
    );
    let destination = name(connection.destination);
    match &connection.engine {
        Some(engine) if engines => {
            format!(
                "{common} {destination:<16} {:<18} {}\n",
                engine.name, engine.data
            )
        }
        _ => format!("{common} {destination}\n"),
    }
}
