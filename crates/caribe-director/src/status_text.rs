//! [`Status`] as text for a terminal.

mod attention;

use std::fmt;

use crate::{DrainingStatus, Phase, ServerState, ServerStatus, ServiceStatus, Status};

/// Prints a [`Status`] for people: what needs attention is said in words, numbers stand in
/// columns.
#[derive(Debug, Clone, Copy)]
pub struct StatusText<'a> {
    /// What is printed.
    pub status: &'a Status,
    /// Seconds since 1970, by which the age of operators' orders is told.
    pub now: u64,
}

impl fmt::Display for StatusText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status;
        head(status, f)?;
        addresses(status, f)?;
        for service in &status.services {
            writeln!(f)?;
            show_service(service, self.now, f)?;
        }
        writeln!(f)?;
        verdicts(status, f)
    }
}

fn head(status: &Status, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let phase = match status.phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Reloading => "reloading",
        Phase::Stopping => "stopping",
    };
    let running = Ago(status.running_seconds);
    writeln!(
        f,
        "director {} {phase}, started {running} ago",
        status.version
    )?;
    let configuration = &status.configuration;
    writeln!(
        f,
        "configuration {}, serial_no {}, loaded {} ago",
        configuration.file,
        configuration.serial_no,
        Ago(configuration.loaded_seconds_ago)
    )?;
    if !configuration.refused.is_empty() {
        writeln!(
            f,
            "  ! the file as it is now was refused; the configuration above is still in force:"
        )?;
        for line in configuration.refused.iter().flat_map(|text| text.lines()) {
            writeln!(f, "    {line}")?;
        }
    }
    if !status.overrides.is_empty() {
        writeln!(f, "  ! changed by hand, with ipvsadm:")?;
        for line in &status.overrides {
            writeln!(f, "    {line}")?;
        }
    }
    for draining in &status.draining {
        let DrainingStatus {
            service, server, ..
        } = draining;
        write!(f, "draining {server} of {service}: ")?;
        match draining.connections {
            Some(connections) => write!(f, "{connections} connections")?,
            None => write!(f, "connections not counted yet")?,
        }
        writeln!(
            f,
            ", for {} now, at most {} more",
            Ago(draining.draining_seconds),
            Ago(draining.seconds_left)
        )?;
    }
    if status.abandoned_connections > 0 {
        writeln!(
            f,
            "  ! {} connections were left to servers whose time to drain was up",
            status.abandoned_connections
        )?;
    }
    let plane = &status.dataplane;
    write!(f, "data plane XDP on")?;
    if plane.interfaces.is_empty() {
        write!(f, " no interface")?;
    }
    for (position, interface) in plane.interfaces.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        write!(f, "{comma} {} ({})", interface.name, interface.mode)?;
    }
    writeln!(f, "{}", if plane.adopted { ", adopted" } else { "" })?;
    if let Some(problem) = &plane.problem {
        writeln!(f, "  ! not as it should be: {problem}")?;
    }
    let connections = &plane.connections;
    writeln!(
        f,
        "connections {} of {}, table of {}B",
        connections.alive,
        connections.capacity,
        Large(connections.memory_bytes)
    )?;
    let table = &plane.table;
    writeln!(
        f,
        "room for {} services ({} used) and {} servers ({} used), {}B in all",
        table.services_capacity,
        table.services,
        table.servers_capacity,
        table.servers,
        Large(table.memory_bytes)
    )
}

fn addresses(status: &Status, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for address in &status.addresses {
        write!(f, "address {}/{} ", address.address, address.prefix)?;
        match (&address.problem, address.present) {
            (Some(problem), _) => writeln!(f, "! {problem}")?,
            (None, true) if address.own => writeln!(f, "on {}", address.label)?,
            (None, true) => writeln!(f, "on {}, not put there by Caribe", address.interface)?,
            (None, false) => writeln!(f, "on its way to {}", address.label)?,
        }
    }
    Ok(())
}

fn show_service(service: &ServiceStatus, now: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let rates = &service.rates;
    writeln!(
        f,
        "{} {} ({}): {} connections, {}/s, {}/s packets in, {}/s out, {}B/s in, {}B/s out",
        service.name,
        service.key,
        service.scheduler,
        service.traffic.connections,
        Large(rates.connections),
        Large(rates.packets_in),
        Large(rates.packets_out),
        Large(rates.bytes_in),
        Large(rates.bytes_out),
    )?;
    let mut rows = vec![
        [
            "server", "address", "method", "state", "for", "check", "flaps", "weight", "active",
            "inactive", "conn/s", "pkt/s", "B/s",
        ]
        .map(str::to_owned),
    ];
    rows.extend(service.servers.iter().map(row));
    columns(&rows, f)?;
    if service.quorum.lost {
        match service.quorum.sorry {
            Some(sorry) => writeln!(f, "  ! too few servers: sorry server {sorry} serves")?,
            None => writeln!(f, "  ! too few servers")?,
        }
    }
    for server in &service.servers {
        if server.state == ServerState::Inactive {
            continue;
        }
        attention::write(server, now, f)?;
        if server.next_hop.is_none() {
            writeln!(
                f,
                "  ! {}: the way to {} is not known (no route, or no MAC address): nothing is \
                 sent there",
                server.name, server.address
            )?;
        }
    }
    Ok(())
}

fn row(server: &ServerStatus) -> [String; 13] {
    let state = match server.state {
        ServerState::Up => "up",
        ServerState::Down => "down",
        ServerState::Checking => "checking",
        ServerState::Quiesced => "quiesced",
        ServerState::Maintenance => "maintenance",
        ServerState::Inactive => "inactive",
    };
    let weight = match server.weight {
        Some(weight) if weight == server.configured_weight => weight.to_string(),
        Some(weight) => format!("{weight} of {}", server.configured_weight),
        None => format!("- of {}", server.configured_weight),
    };
    [
        server.name.clone(),
        std::net::SocketAddr::new(server.address, server.port).to_string(),
        server.forwarding.to_string(),
        state.to_owned(),
        Ago(server.since_seconds).to_string(),
        attention::check(&server.watch),
        server.watch.flaps.to_string(),
        weight,
        server.active.to_string(),
        server.inactive.to_string(),
        Large(server.rates.connections).to_string(),
        Large(server.rates.packets_in + server.rates.packets_out).to_string(),
        Large(server.rates.bytes_in + server.rates.bytes_out).to_string(),
    ]
}

/// Columns as wide as their widest cell; numbers, from the seventh column on, to the right.
fn columns<const N: usize>(rows: &[[String; N]], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const WORDS: usize = 6;
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        write!(f, "  ")?;
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match (column, column + 1 == N) {
                (_, true) => writeln!(f, "{cell:>width$}")?,
                (0..WORDS, false) => write!(f, "{cell:<width$}  ")?,
                (_, false) => write!(f, "{cell:>width$}  ")?,
            }
        }
    }
    Ok(())
}

fn verdicts(status: &Status, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let verdicts = &status.dataplane.verdicts;
    let total: u64 = verdicts.values().sum();
    writeln!(f, "packets {total}")?;
    let seen = verdicts.iter().filter(|(_, packets)| **packets > 0);
    let width = seen.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, packets) in seen {
        writeln!(f, "  {name:<width$}  {packets}")?;
    }
    Ok(())
}

/// A time, in the two largest units that matter.
struct Ago(u64);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0;
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds}s"),
            (0, 0, _) => write!(f, "{minutes}m{}s", seconds % 60),
            (0, _, _) => write!(f, "{hours}h{}m", minutes % 60),
            _ => write!(f, "{days}d{}h", hours % 24),
        }
    }
}

/// A number with a decimal prefix once it has more than five digits.
struct Large(u64);

impl fmt::Display for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scale, prefix) = match self.0 {
            0..100_000 => return self.0.fmt(f),
            100_000..100_000_000 => (1_000, "k"),
            100_000_000..100_000_000_000 => (1_000_000, "M"),
            _ => (1_000_000_000, "G"),
        };
        write!(f, "{}{prefix}", self.0 / scale)
    }
}

#[cfg(test)]
mod tests;
