//! A scenario is played: to a real director, over a real wire, one step after the other.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::PlayError;
use crate::frame::frame;
use crate::network::{self, Family, GATEWAY_MAC, Side};
use crate::scenario::{Flow, Packet, Scenario, Step};
use crate::seen::Seen;
use crate::wire::Wire;

/// A director under test, as a scenario needs it.
pub trait Director {
    /// Gives ipvsadm some commands, one after the other. The director is in the caller's network
    /// namespace.
    ///
    /// # Errors
    ///
    /// That ipvsadm could not be run; not that it refused a command.
    fn ipvsadm(&mut self, lines: &[&str]) -> Result<Said, PlayError>;

    /// Prepares for a scenario: its marks, on an empty table with the usual timeouts. Gives the
    /// rules of netfilter that are in force, if the scenario has some.
    ///
    /// # Errors
    ///
    /// What could not be prepared.
    fn begin(&mut self, scenario: &Scenario) -> Result<Option<Rules>, PlayError>;

    /// Returns when all that was said to the director is in force.
    ///
    /// # Errors
    ///
    /// That it is not, after a time.
    fn settle(&mut self) -> Result<(), PlayError>;

    /// Returns when the last packet has done all that it does.
    fn finish_packet(&mut self);

    /// Returns when all packets that were sent are counted.
    fn count(&mut self);

    /// Returns when the templates of persistence are counted.
    fn count_templates(&mut self);
}

/// What ipvsadm said to some commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub error: String,
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
}

/// What was seen of one step, or of ipvsadm's commands in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observed {
    /// To ipvsadm's words.
    Said(Said),
    /// To a packet: what the director sent. Nothing, if it kept the packet.
    Sent(Vec<Seen>),
    /// The flow's server had nothing to answer to, or answers past the director.
    NoAnswer,
}

/// Rules of netfilter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// As its own tools save them.
    pub text: String,
    /// Lines of those that are not in force, because no `mark` block stands for them.
    pub left_out: Vec<usize>,
}

/// All that was seen of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// The scenario's number.
    pub number: u32,
    /// The rules of netfilter that gave packets their marks.
    pub rules: Option<Rules>,
    /// By the number of the (last) step that it was seen of; the closing listings come after the
    /// last step.
    pub observed: Vec<(usize, Observed)>,
}

/// Listings at the end of every scenario.
pub(crate) const CLOSING: [&str; 6] = [
    "-L -n",
    "-L -n --tun-info",
    "-L -n --thresholds",
    "-L -n --persistent-conn",
    "-L -n -c",
    "-S -n",
];

/// The last one, once everything is counted.
pub(crate) const COUNTERS: &str = "-L -n --stats --exact";

/// Plays a scenario in this thread's network namespace.
///
/// # Errors
///
/// Only what keeps it from being played; whatever the director does is in the transcript.
pub fn play(
    scenario: &Scenario,
    wire: &Wire,
    director: &mut dyn Director,
) -> Result<Transcript, PlayError> {
    let rules = director.begin(scenario)?;
    let mut player = Player {
        scenario,
        wire,
        director,
        servers: HashMap::new(),
        transcript: Transcript {
            number: scenario.number,
            rules,
            observed: Vec::new(),
        },
    };
    let anchors = anchors(scenario);
    let mut words: Vec<&str> = anchors.iter().map(String::as_str).collect();
    for (number, step) in scenario.steps.iter().enumerate() {
        match step {
            Step::Ipvsadm(line) => words.push(line.as_str()),
            Step::Client(flow, packet) => {
                player.say(number, &mut words)?;
                player.client(number, flow, packet)?;
            }
            Step::Server(flow, packet) => {
                player.say(number, &mut words)?;
                player.server(number, flow, packet)?;
            }
        }
    }
    let end = scenario.steps.len();
    player.say(end, &mut words)?;
    player.director.count_templates();
    player.say(end + 1, &mut CLOSING.to_vec())?;
    player.say(end + 2, &mut vec![COUNTERS])?;
    Ok(player.transcript)
}

/// A service of each family that stays, without servers: without any, the kernel's ip_vs does
/// nothing at all. See the deviations.
fn anchors(scenario: &Scenario) -> [String; 2] {
    [Family::V4, Family::V6].map(|family| {
        match network::vip(family, scenario.number, network::VIPS - 1) {
            IpAddr::V4(vip) => format!("-A -t {vip}:9 -s rr"),
            IpAddr::V6(vip) => format!("-A -t [{vip}]:9 -s rr"),
        }
    })
}

struct Player<'a> {
    scenario: &'a Scenario,
    wire: &'a Wire,
    director: &'a mut dyn Director,
    /// To which server and port the last packet of a flow went by NAT.
    servers: HashMap<Flow, (u8, SocketAddr)>,
    transcript: Transcript,
}

impl Player<'_> {
    /// Gives ipvsadm the lines that have gathered, which came before the step `before`.
    fn say(&mut self, before: usize, lines: &mut Vec<&str>) -> Result<(), PlayError> {
        if lines.is_empty() {
            return Ok(());
        }
        let counts = |line: &&str| line.contains("--stats") || line.starts_with("-Z");
        if lines.iter().any(counts) {
            self.director.count();
        }
        let said = self.director.ipvsadm(lines)?;
        self.director.settle()?;
        lines.clear();
        let step = before.saturating_sub(1);
        self.transcript.observed.push((step, Observed::Said(said)));
        Ok(())
    }

    fn client(&mut self, step: usize, flow: &Flow, packet: &Packet) -> Result<(), PlayError> {
        let number = self.scenario.number;
        let from = SocketAddr::new(flow.client_address(number), flow.client_port);
        let to = SocketAddr::new(flow.vip_address(number), flow.port);
        let macs = (GATEWAY_MAC, Side::Front.mac());
        let frame = frame(macs, flow.protocol, from, to, packet)?;
        let seen = self.exchange(Side::Front, &frame)?;
        if let Some(server) = translated(&seen, flow.family) {
            self.servers.insert(*flow, server);
        } else if seen
            .iter()
            .any(|seen| seen.get("by") == Some(Side::Back.interface()))
        {
            self.servers.remove(flow);
        }
        self.transcript.observed.push((step, Observed::Sent(seen)));
        Ok(())
    }

    fn server(&mut self, step: usize, flow: &Flow, packet: &Packet) -> Result<(), PlayError> {
        let Some((server, from)) = self.servers.get(flow).copied() else {
            self.transcript.observed.push((step, Observed::NoAnswer));
            return Ok(());
        };
        let to = SocketAddr::new(flow.client_address(self.scenario.number), flow.client_port);
        let macs = (network::server_mac(server), Side::Back.mac());
        let frame = frame(macs, flow.protocol, from, to, packet)?;
        let seen = self.exchange(Side::Back, &frame)?;
        self.transcript.observed.push((step, Observed::Sent(seen)));
        Ok(())
    }

    fn exchange(&mut self, side: Side, frame: &[u8]) -> Result<Vec<Seen>, PlayError> {
        let frames = self.wire.exchange(side, frame)?;
        self.director.finish_packet();
        Ok(frames
            .iter()
            .map(|(side, frame)| Seen::read(*side, frame))
            .collect())
    }
}

/// The server that got a packet by NAT, with its end of the connection.
fn translated(seen: &[Seen], family: Family) -> Option<(u8, SocketAddr)> {
    seen.iter().find_map(|seen| {
        let address: IpAddr = seen.get("destination")?.parse().ok()?;
        let port = seen.get("dport")?.parse().ok()?;
        let mut servers = 0..network::SERVERS;
        let server = servers.find(|it| network::server(family, *it) == address)?;
        // In a tunnel the outer address is the server's, and headers follow that are not its.
        let headers = seen.fields.iter().filter(|(name, _)| name == "ip").count();
        (headers == 1).then_some((server, SocketAddr::new(address, port)))
    })
}

/// Gives lines to an `ipvsadm -R`.
///
/// # Errors
///
/// That it could not be run.
pub fn restore(mut ipvsadm: Command, lines: &[&str]) -> Result<Said, PlayError> {
    run(ipvsadm.arg("-R"), &(lines.join("\n") + "\n"))
}

/// Runs a program with this on its standard input.
///
/// # Errors
///
/// That it could not be run; not that it failed.
pub fn run(command: &mut Command, input: &str) -> Result<Said, PlayError> {
    let line = format!("{command:?}");
    let action = || format!("run {line}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(PlayError::system(action()))?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input.as_bytes()) {
            // It ended, at words that are wrong, and does not read the others.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            other => other.map_err(PlayError::system(action()))?,
        }
    }
    let output = child
        .wait_with_output()
        .map_err(PlayError::system(action()))?;
    Ok(Said {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
    })
}

/// Runs a program that must succeed, with this on its standard input; what it printed.
pub(crate) fn succeed(command: &mut Command, input: &str) -> Result<String, PlayError> {
    let said = run(command, input)?;
    if said.code == Some(0) {
        return Ok(said.out);
    }
    Err(PlayError::Failed {
        command: format!("{command:?}"),
        said: said.error,
    })
}

/// Runs `ip -batch` on these commands.
///
/// # Errors
///
/// What `ip` said.
pub fn ip_batch(commands: &str) -> Result<(), PlayError> {
    succeed(Command::new("ip").args(["-batch", "-"]), commands).map(drop)
}
