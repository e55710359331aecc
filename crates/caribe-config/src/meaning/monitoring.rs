//! Piranha's keys about watching servers, and Caribe's beside them.

use std::num::NonZeroU16;

use caribe_model::Protocol;

use crate::config::{CommandLine, LoadMonitor, LoadWatch, Monitor, MonitorKind, Quorum, SlowStart};
use crate::keys::Place;
use crate::settings::Section;
use crate::text;

use super::{Interpreter, OfTheFile, number, seconds};

/// Piranha's check.
pub(super) fn piranha(section: &Section<'_>, protocol: Protocol, port: u16) -> Monitor {
    let bytes = |key: &str| {
        section
            .expanded(key)
            .filter(|bytes| !bytes.is_empty())
            .map(<[u8]>::to_vec)
    };
    let send_program = section.command("send_program");
    let expect = match &send_program {
        Some(_) => bytes("expect_program").or_else(|| bytes("expect")),
        None => bytes("expect"),
    };
    let send = bytes("send");
    let asks = send_program.is_some() || expect.is_some();
    let has_blocks = section
        .children
        .iter()
        .any(|child| child.place == Place::Monitor);
    let kind = match (section.word("monitor"), protocol) {
        (Some("tcp"), _) => MonitorKind::Tcp,
        (Some(_), _) => MonitorKind::None,
        _ if send_program.is_some() => MonitorKind::Piranha,
        // There is no port to connect to.
        _ if port == 0 => MonitorKind::None,
        (None, Protocol::Tcp) if !has_blocks || asks || send.is_some() => MonitorKind::Piranha,
        (None, Protocol::Udp) if asks => MonitorKind::Piranha,
        (None, _) => MonitorKind::None,
    };
    Monitor {
        kind,
        timeout: seconds(section, "timeout"),
        reentry: seconds(section, "reentry"),
        send,
        // Its reader has refused what is not UTF-8.
        expect: expect.and_then(|bytes| String::from_utf8(bytes).ok()),
        use_regex: section.boolean("use_regex"),
        send_program,
    }
}

pub(super) fn slow_start(section: &Section<'_>) -> SlowStart {
    match (section.time("slow_start"), section.word("slow_start")) {
        (Some(step), _) => SlowStart::Every(step),
        (None, Some("off")) => SlowStart::Off,
        _ => SlowStart::Nanny,
    }
}

impl Interpreter<'_, '_> {
    pub(super) fn quorum(&mut self, section: &Section<'_>) -> Quorum {
        let down_below = number(section, "quorum");
        let up_from = section
            .optional_integer("quorum_up")
            .and_then(|number| u32::try_from(number).ok()) // its range fits
            .unwrap_or(down_below);
        if up_from < down_below && section.boolean("active") && section.knows(&["quorum"]) {
            self.report
                .error(
                    section.span("quorum_up"),
                    "quorum",
                    format!(
                        "`quorum_up` ({up_from}) is below `quorum` ({down_below}): the service \
                         would be up and down at once"
                    ),
                )
                .hint("let it be as large, or larger, so that the service does not flap");
        }
        Quorum {
            down_below,
            up_from: up_from.max(down_below),
            keep_below: u8::try_from(section.integer("keep_below")).unwrap_or_default(), // it fits
        }
    }

    pub(super) fn load(&mut self, section: &Section<'_>, file: &OfTheFile) -> Option<LoadWatch> {
        let said = section.text("load_monitor")?;
        let shell = |words: &str| CommandLine::new(text::words(words));
        let source = match said.as_str() {
            "none" => return None,
            "rup" => LoadMonitor::Rup,
            "ruptime" => LoadMonitor::Ruptime,
            "uptime" => LoadMonitor::Uptime {
                shell: file.rsh_command.clone().or_else(|| shell("rsh"))?,
            },
            "rsh" | "ssh" => LoadMonitor::Uptime {
                shell: shell(&said)?,
            },
            "agent" => LoadMonitor::Agent {
                port: self.agent_port(section)?,
            },
            command => LoadMonitor::Program(shell(command)?),
        };
        Some(LoadWatch {
            source,
            interval: section.time("load_interval"),
        })
    }

    fn agent_port(&mut self, section: &Section<'_>) -> Option<NonZeroU16> {
        let port = section
            .optional_integer("agent_port")
            .and_then(|port| NonZeroU16::new(u16::try_from(port).ok()?));
        if port.is_none() && section.boolean("active") && section.knows(&["agent_port"]) {
            self.report
                .error(
                    section.span("load_monitor"),
                    "missing-agent-port",
                    "`load_monitor = agent` needs an `agent_port`",
                )
                .hint("add the TCP port on which the servers' agents answer");
        }
        port
    }
}
