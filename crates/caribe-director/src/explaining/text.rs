//! An explanation in words.

use std::fmt;

use caribe_dataplane::xdp::LiveConnection;
use caribe_dataplane::{
    Choice, Compared, ExplainedServer, Explanation, Fate, Made, Over, Question,
};
use caribe_model::Protocol;

/// Servers that are listed; of more only the number is told.
const LISTED: usize = 12;

/// An explanation as text: a line for each stage that the packet went through.
#[derive(Debug)]
pub struct ExplanationText<'a> {
    /// What was asked.
    pub question: &'a Question,
    /// The answer.
    pub explanation: &'a Explanation,
}

impl fmt::Display for ExplanationText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.explanation;
        writeln!(f, "{}", Packet(self.question))?;
        let fate = match said.fate {
            Fate::Forwarded => "is forwarded",
            Fate::Answered => "is answered with an ICMP error",
            Fate::Passed => "is passed to the kernel",
            Fate::Dropped => "is dropped",
        };
        line(
            f,
            "verdict",
            &format!("{fate}: {} ({})", said.meaning, said.verdict),
        )?;
        if let Some(connection) = &said.connection {
            line(f, "connection", &connection_words(connection))?;
        }
        if let Some(over) = said.over {
            let words = match over {
                Over::Expired => "its time is over: the packet starts a new one",
                Over::Reopened => "it is closed, and the client uses its port anew",
                Over::ServerGone => "its server is gone or quiesced (expire_nodest_conn)",
            };
            line(f, "", words)?;
        }
        if let Some(service) = &said.service {
            let scheduler = service.scheduler.map_or("unknown", |it| it.name());
            line(
                f,
                "service",
                &format!("{}, scheduler {scheduler}", service.key),
            )?;
        }
        if let Some(template) = &said.template {
            line(f, "template", &connection_words(template))?;
        }
        if let Some(choice) = &said.choice {
            write_choice(f, choice)?;
        }
        if let Some(server) = &said.server {
            write_server(f, server)?;
        } else if said.choice.is_some() {
            line(f, "server", "none takes a new connection")?;
        }
        if !said.makes.is_empty() {
            let made: Vec<&str> = said.makes.iter().map(|made| name_of(*made)).collect();
            line(f, "makes", &made.join(" and "))?;
        }
        for (at, change) in said.changes.iter().enumerate() {
            let name = if at == 0 { "changes" } else { "" };
            let words = if change.before.is_empty() {
                format!("{}: {}", change.field, change.after)
            } else {
                format!("{}: {} -> {}", change.field, change.before, change.after)
            };
            line(f, name, &words)?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, words: &str) -> fmt::Result {
    writeln!(f, "{name:<12}{words}")
}

fn name_of(made: Made) -> &'static str {
    match made {
        Made::Connection => "a connection",
        Made::Template => "a template",
    }
}

/// The packet that was asked about.
struct Packet<'a>(&'a Question);

impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question {
            protocol,
            client,
            vip,
            tcp_flags,
            payload,
            interface,
        } = self.0;
        write!(f, "{protocol} from {client} to {vip}")?;
        if *protocol == Protocol::Tcp {
            write!(f, ", {}", flags(*tcp_flags))?;
        }
        if *payload > 0 {
            write!(f, ", {payload} bytes")?;
        }
        if let Some(interface) = interface {
            write!(f, ", by {interface}")?;
        }
        Ok(())
    }
}

/// The names of TCP's flags.
fn flags(bits: u8) -> String {
    let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    let set: Vec<&str> = (0..8)
        .zip(names)
        .filter(|(bit, _)| bits & 1 << bit != 0)
        .map(|(_, name)| name)
        .collect();
    if set.is_empty() {
        "no flags".to_owned()
    } else {
        set.join("+")
    }
}

fn connection_words(connection: &LiveConnection) -> String {
    let LiveConnection {
        client,
        server,
        state,
        left,
        ..
    } = connection;
    format!("{client} has {server}, {state}, {} s left", left.as_secs())
}

fn write_choice(f: &mut fmt::Formatter<'_>, choice: &Choice) -> fmt::Result {
    match choice {
        Choice::Rotation {
            picks,
            slots,
            passed_over,
        } => {
            let mut words = format!("takes the next of a cycle of {slots}, after {picks} picks");
            if *passed_over > 0 {
                words += &format!(", passing over {passed_over} that are overloaded");
            }
            line(f, "scheduler", &words)
        }
        Choice::Compared { servers } => {
            line(f, "scheduler", "compares, and takes the first of equals:")?;
            list(f, servers)
        }
        Choice::Drawn { servers } => {
            line(
                f,
                "scheduler",
                "draws two by weight, this time these; the next packet draws anew:",
            )?;
            list(f, servers)
        }
        Choice::Hashed {
            origin,
            slot,
            slots,
            owner,
            tried,
        } => {
            line(
                f,
                "scheduler",
                &format!("hashes {origin:#010x} to slot {slot} of {slots}, which is that of:"),
            )?;
            match owner {
                Some(owner) => list(f, std::slice::from_ref(owner))?,
                None => line(f, "", "  nobody")?,
            }
            if *tried > 0 {
                line(
                    f,
                    "",
                    &format!("takes the one that it finds with {tried} further slots"),
                )?;
            }
            Ok(())
        }
        Choice::Remembered {
            destination,
            remembered,
            given_up,
            servers,
        } => {
            if remembered.is_empty() {
                line(
                    f,
                    "scheduler",
                    &format!("remembers nobody for {destination}, so it compares:"),
                )?;
            } else {
                line(f, "scheduler", &format!("remembers for {destination}:"))?;
                list(f, remembered)?;
            }
            if *given_up {
                line(f, "", "which is of no use now, so it compares:")?;
            }
            list(f, servers)
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, servers: &[Compared]) -> fmt::Result {
    let width = servers.iter().map(|it| it.key.to_string().len()).max();
    let width = width.unwrap_or(0);
    // The one that was chosen is always there.
    let (shown, hidden): (Vec<_>, Vec<_>) = servers
        .iter()
        .enumerate()
        .partition(|(at, server)| *at < LISTED || server.chosen);
    for (_, server) in &shown {
        let Compared {
            key,
            weight,
            active,
            inactive,
            overloaded,
            chosen,
        } = server;
        let mark = if *chosen { ">" } else { " " };
        let full = if *overloaded { ", overloaded" } else { "" };
        let key = key.to_string();
        line(
            f,
            "",
            &format!(
                "{mark} {key:<width$}  weight {weight}, {active} active, {inactive} inactive{full}"
            ),
        )?;
    }
    if !hidden.is_empty() {
        line(f, "", &format!("  and {} more", hidden.len()))?;
    }
    Ok(())
}

fn write_server(f: &mut fmt::Formatter<'_>, server: &ExplainedServer) -> fmt::Result {
    let method = server.forwarding.map_or("unknown", |method| match method {
        caribe_model::Forwarding::Nat => "NAT",
        caribe_model::Forwarding::Direct => "direct routing",
        caribe_model::Forwarding::Tunnel => "tunnelling",
    });
    let removed = if server.in_service { "" } else { ", removed" };
    line(
        f,
        "server",
        &format!(
            "{} by {method}, port {}, weight {}{removed}",
            server.key, server.port, server.weight
        ),
    )?;
    match &server.next_hop {
        Some(hop) if hop.is_local() => line(f, "next hop", "the director itself"),
        Some(hop) => line(
            f,
            "next hop",
            &format!(
                "{} by interface {}, MTU {}",
                hop.destination_mac, hop.interface, hop.mtu
            ),
        ),
        None => line(
            f,
            "next hop",
            "not known: no route, or the server does not answer",
        ),
    }
}

#[cfg(test)]
mod tests;
