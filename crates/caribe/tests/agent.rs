//! `caribe real-server agent`, asked as a director asks it. Nothing here needs root.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use caribe_health::probe::agent::{AgentHealth, AgentReport, AgentWish};
use caribe_health::probe::{Check, Finding, Target, probe};
use caribe_lab::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LIMIT: Duration = Duration::from_secs(20);

/// The agent, as this test's own child on loopback. Killed when dropped.
struct Agent {
    child: Child,
    address: SocketAddr,
}

impl Agent {
    fn start(words: &[&str]) -> Agent {
        let mut child = Command::new(env!("CARGO_BIN_EXE_caribe"))
            .args(["real-server", "agent", "--interval", "1"])
            .args(["--listen", "127.0.0.1:0"])
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the agent");
        let stdout = child.stdout.take().expect("asked for");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("answering on ");
        let address = address.and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        Agent { child, address }
    }

    fn ask(&self, check: &str) -> Finding {
        let check: Check = serde_json::from_str(check).expect("a check");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(probe(&check, &Target::new(self.address), LIMIT))
    }

    fn report(&self) -> AgentReport {
        let finding = self.ask(r#"{"agent":{}}"#);
        let report = finding.agent().cloned();
        report.unwrap_or_else(|| panic!("no report: {finding}"))
    }

    fn wait_for(&self, what: &str, is_so: impl Fn(&AgentReport) -> bool) {
        wait::until_true(what, LIMIT, || is_so(&self.report()))
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.report()));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself, as it should.
        let _ended = self.child.kill();
        self.child.wait().expect("reaped");
    }
}

#[test]
fn the_agent_tells_what_a_director_understands() {
    let agent = Agent::start(&[]);
    let report = agent.report();
    assert_eq!(report.health, Some(AgentHealth::Up));
    // Without a file of words it has no wishes: an operator's drain stays.
    assert_eq!(report.wish, None);
    let weight = u32::from(report.weight.expect("a percentage"));
    assert!((1..=100).contains(&weight), "{weight}");
    // A director that greets first gets the same.
    let finding = agent.ask(r#"{"agent":{"send":"hello\\n"}}"#);
    assert!(finding.passed(), "{finding}");
}

#[test]
fn work_lowers_the_percentage_and_no_further_than_it_may() {
    let agent = Agent::start(&["--minimum", "7"]);
    let processors = std::thread::available_parallelism()
        .expect("processors")
        .get();
    let busy: Vec<Child> = (0..processors * 2)
        .map(|_| {
            Command::new("yes")
                .stdout(Stdio::null())
                .spawn()
                .expect("yes")
        })
        .collect();
    let fallen = wait::until_true("the percentage to fall", LIMIT, || {
        agent.report().weight.map(u32::from) == Some(7)
    });
    for mut child in busy {
        child.kill().expect("still busy");
        child.wait().expect("reaped");
    }
    fallen.unwrap_or_else(|error| panic!("{error}: {:?}", agent.report()));
}

#[test]
fn the_administrators_words_are_passed_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("words");
    let agent = Agent::start(&["--words", path.to_str().expect("a path")]);
    assert_eq!(agent.report().wish, Some(AgentWish::Ready));
    fs::write(&path, "drain maxconn:30\n").expect("written");
    agent.wait_for("drain", |report| {
        report.wish == Some(AgentWish::Drain) && report.maxconn == Some(30)
    });
    fs::write(&path, "down # disk full\n").expect("written");
    agent.wait_for("down", |report| {
        report.health == Some(AgentHealth::Down)
            && report
                .reason
                .as_ref()
                .is_some_and(|text| text.as_str() == "disk full")
    });
    fs::write(&path, "nonsense\n").expect("written");
    agent.wait_for("the nonsense to be left out", |report| {
        report.health == Some(AgentHealth::Up) && report.wish.is_none()
    });
    fs::remove_file(&path).expect("removed");
    agent.wait_for("ready", |report| report.wish == Some(AgentWish::Ready));
}

#[test]
fn those_who_do_not_listen_do_not_keep_others_waiting_for_long() {
    let agent = Agent::start(&[]);
    // More than it serves at once, and none of them goes.
    let idle: Vec<TcpStream> = (0..80)
        .map(|_| TcpStream::connect(agent.address).expect("connected"))
        .collect();
    assert!(agent.ask(r#"{"agent":{}}"#).passed());
    drop(idle);
    let mut chatterbox = TcpStream::connect(agent.address).expect("connected");
    // It is not read to the end, so that the kernel may break it off.
    let _broken = chatterbox.write_all(&[b'x'; 1 << 16]);
    let _broken = chatterbox.shutdown(Shutdown::Write);
    let mut line = [0; 3];
    chatterbox.read_exact(&mut line).expect("an answer");
    assert_eq!(&line, b"up ");
    assert!(agent.ask(r#"{"agent":{}}"#).passed());
}

#[test]
fn a_signal_ends_it_and_a_taken_port_is_told() {
    let mut agent = Agent::start(&[]);
    let taken = Command::new(env!("CARGO_BIN_EXE_caribe"))
        .args([
            "real-server",
            "agent",
            "--listen",
            &agent.address.to_string(),
        ])
        .output()
        .expect("run");
    assert_eq!(taken.status.code(), Some(2));
    let said = String::from_utf8_lossy(&taken.stderr);
    assert!(said.contains("cannot listen on 127.0.0.1:"), "{said}");
    let pid = Pid::from_raw(agent.child.id().cast_signed());
    kill(pid, Signal::SIGTERM).expect("still there");
    let ended = wait::until("the agent to end", LIMIT, || {
        agent.child.try_wait().transpose().ok_or("it runs")
    });
    assert_eq!(ended.expect("ended").expect("waited").code(), Some(0));
}
