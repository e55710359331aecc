//! Programs that are run because something happened: bounded in number and time, and never
//! waited for by anybody else.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use caribe_health::Standing;
use caribe_model::ServiceKey;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::{Happening, NotifyProgram, What};

/// Programs at one time. Those of one service run one after the other, in the order of what
/// happened.
const LANES: usize = 8;
/// Programs that wait in a lane; more are not run, and the log says so.
const WAITING: usize = 64;
/// A program that runs longer is killed, with what it has started.
const LIMIT: Duration = Duration::from_secs(30);

/// The way to the lanes.
#[derive(Debug)]
pub(super) struct Notifier {
    lanes: Vec<mpsc::Sender<Errand>>,
}

#[derive(Debug)]
struct Errand {
    program: NotifyProgram,
    environment: Vec<(&'static str, String)>,
    what: String,
}

impl Notifier {
    /// Starts the lanes on the current runtime; they end with it or with this value.
    pub(super) fn start() -> Self {
        let lane = || {
            let (sender, errands) = mpsc::channel(WAITING);
            tokio::spawn(run(errands));
            sender
        };
        Notifier {
            lanes: (0..LANES).map(|_| lane()).collect(),
        }
    }

    /// Has the program run, if it is about a server or a service that goes up or down.
    pub(super) fn notify(&self, program: NotifyProgram, happening: &Happening) {
        let Some(environment) = environment(happening) else {
            return;
        };
        let lane = lane(&happening.service);
        let errand = Errand {
            program,
            environment,
            what: happening.service.to_string(),
        };
        if let Err(error) = self.lanes[lane].try_send(errand) {
            tracing::error!(
                service = %happening.service,
                number = happening.number,
                %error,
                "a notification is not sent: too many programs are waiting to run"
            );
        }
    }
}

/// The lane of a service.
fn lane(service: &ServiceKey) -> usize {
    let mut hasher = DefaultHasher::new();
    service.hash(&mut hasher);
    usize::try_from(hasher.finish() % LANES as u64).unwrap_or(0)
}

/// What a program is told; documented in docs/monitors.md. `None`: it is not told of this.
fn environment(happening: &Happening) -> Option<Vec<(&'static str, String)>> {
    let mut environment = vec![
        ("CARIBE_EVENT", happening.what.word().to_owned()),
        ("CARIBE_NUMBER", happening.number.to_string()),
        ("CARIBE_SERVICE", happening.service.to_string()),
        ("CARIBE_SERVICE_NAME", happening.name.clone()),
    ];
    match &happening.what {
        What::Server {
            server,
            standing,
            reason,
        } => {
            let state = match standing {
                Standing::Up => "up",
                Standing::Down => "down",
                Standing::Checking => return None,
            };
            environment.push(("CARIBE_STATE", state.to_owned()));
            environment.push(("CARIBE_SERVER", server.to_string()));
            let name = happening.server_name.clone();
            environment.push(("CARIBE_SERVER_NAME", name.unwrap_or_default()));
            if let Some(finding) = reason {
                environment.push(("CARIBE_CODE", finding.code.to_string()));
                environment.push(("CARIBE_REASON", finding.text.to_string()));
            }
        }
        What::Quorum { lost } => {
            let state = if *lost { "down" } else { "up" };
            environment.push(("CARIBE_STATE", state.to_owned()));
        }
        What::Verdict { .. } | What::Order { .. } => return None,
    }
    Some(environment)
}

async fn run(mut errands: mpsc::Receiver<Errand>) {
    while let Some(errand) = errands.recv().await {
        let (program, service) = (errand.program.0.join(" "), errand.what.clone());
        match execute(errand, LIMIT).await {
            Ok(Some(status)) if status.success() => {
                tracing::debug!(program, service, "notified");
            }
            Ok(Some(status)) => {
                tracing::warn!(program, service, %status, "the program of `notify` failed");
            }
            Ok(None) => tracing::warn!(
                program,
                service,
                seconds = LIMIT.as_secs(),
                "the program of `notify` took too long and was killed"
            ),
            Err(error) => {
                tracing::error!(program, service, %error, "cannot run the program of `notify`");
            }
        }
    }
}

/// Runs a program to its end; `None` when it took longer than it may and was killed.
async fn execute(errand: Errand, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let Some((program, arguments)) = errand.program.0.split_first() else {
        return Ok(Some(ExitStatus::default()));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .envs(errand.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    match tokio::time::timeout(limit, child.wait()).await {
        Ok(status) => status.map(Some),
        Err(_elapsed) => {
            if let Some(group) = group
                && let Err(error) = killpg(Pid::from_raw(group), Signal::SIGKILL)
            {
                tracing::warn!(%error, group, "cannot kill a group of processes");
            }
            child.wait().await.map(|_| None)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use caribe_health::probe::{Code, Finding, Text};
    use caribe_model::{Protocol, ServerKey};

    use super::*;

    fn happening(what: What) -> Happening {
        Happening {
            number: 7,
            service: ServiceKey::Address {
                protocol: Protocol::Tcp,
                address: [192, 0, 2, 1].into(),
                port: 80,
            },
            name: "web".to_owned(),
            server_name: Some("web1".to_owned()),
            what,
        }
    }

    fn server_down() -> What {
        What::Server {
            server: ServerKey {
                address: [10, 0, 0, 1].into(),
                port: 8080,
            },
            standing: Standing::Down,
            reason: Some(Finding {
                code: Code::L7Status,
                text: Text::new("500; $(touch /tmp/x) \"'"),
                latency: Duration::from_millis(1),
                reading: None,
            }),
        }
    }

    fn shell(script: String) -> NotifyProgram {
        NotifyProgram(vec!["/bin/sh".to_owned(), "-c".to_owned(), script])
    }

    async fn content(path: &Path) -> String {
        for _ in 0..200 {
            match std::fs::read_to_string(path) {
                Ok(text) if text.ends_with("end\n") => return text,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        panic!("{} was not written in ten seconds", path.display());
    }

    #[tokio::test]
    async fn a_program_is_told_all_and_in_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("told");
        let notifier = Notifier::start();
        let line = "\"$CARIBE_EVENT|$CARIBE_NUMBER|$CARIBE_STATE|$CARIBE_SERVICE|\
                    $CARIBE_SERVICE_NAME|$CARIBE_SERVER|$CARIBE_SERVER_NAME|$CARIBE_CODE|\
                    $CARIBE_REASON\"";
        let script = format!("echo {line} >> {}", path.display());
        notifier.notify(shell(script.clone()), &happening(server_down()));
        notifier.notify(shell(script), &happening(What::Quorum { lost: true }));
        let end = shell(format!("echo end >> {}", path.display()));
        notifier.notify(end, &happening(What::Quorum { lost: false }));
        let text = content(&path).await;
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "server|7|down|TCP 192.0.2.1:80|web|10.0.0.1:8080|web1|L7STS|\
                 500; $(touch /tmp/x) \"'",
                "quorum|7|down|TCP 192.0.2.1:80|web||||",
                "end",
            ]
        );
    }

    #[tokio::test]
    async fn a_program_that_hangs_keeps_nobody_waiting() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("told");
        let notifier = Notifier::start();
        let hangs = shell("sleep 20".to_owned());
        let slow = happening(server_down());
        // One runs, WAITING wait, and the rest are refused at once.
        for _ in 0..WAITING * 2 {
            notifier.notify(hangs.clone(), &slow);
        }
        assert_eq!(notifier.lanes[lane(&slow.service)].capacity(), 0);
        // Of another service, in another lane.
        let with_port = |port| Happening {
            service: ServiceKey::Address {
                protocol: Protocol::Tcp,
                address: [192, 0, 2, 1].into(),
                port,
            },
            ..happening(server_down())
        };
        let mut others = (1..1000).map(with_port);
        let other = others.find(|other| lane(&other.service) != lane(&slow.service));
        let end = shell(format!("echo end > {}", path.display()));
        notifier.notify(end, &other.expect("there are eight lanes"));
        assert_eq!(content(&path).await, "end\n");
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_killed_with_what_it_started() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("started");
        let script = format!(
            "sleep 300 & echo $! > {0}.part; echo end >> {0}.part; mv {0}.part {0}; wait",
            path.display()
        );
        let errand = Errand {
            program: shell(script),
            environment: Vec::new(),
            what: String::new(),
        };
        let running = tokio::spawn(execute(errand, Duration::from_secs(5)));
        let told = content(&path).await;
        let started = told.lines().next().expect("a number");
        let ended = running.await.expect("it ends").expect("it ran");
        assert_eq!(ended, None, "it was killed");
        // Killed it is at once; what reaps it comes when it comes.
        for _ in 0..200 {
            let state = std::fs::read_to_string(format!("/proc/{started}/stat"));
            if state.map_or(true, |stat| stat.contains(") Z ")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("process {started} goes on");
    }

    #[test]
    fn only_what_goes_up_or_down_is_told() {
        let order = What::Order {
            server: ServerKey {
                address: [10, 0, 0, 1].into(),
                port: 8080,
            },
            order: None,
            by: "root".to_owned(),
        };
        assert_eq!(environment(&happening(order)), None);
        assert!(environment(&happening(server_down())).is_some());
    }
}
