//! Programs that run on a host: started inside it, logged, and never left behind.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::LabError;
use crate::namespace::Namespace;
use crate::wait::{self, Deadline};

/// How long a program may run when nothing else is said.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// How long a program gets to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// A program about to be started inside a host.
#[derive(Debug)]
pub struct Command {
    namespace: Namespace,
    host: String,
    program: String,
    package: String,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    /// Where logs go; without it the output of a started program is discarded.
    logs: Option<PathBuf>,
    limit: Duration,
}

/// What a program that ended has said.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Command {
    pub(crate) fn in_namespace(
        namespace: &Namespace,
        host: &str,
        program: &str,
        logs: Option<PathBuf>,
    ) -> Command {
        Command {
            namespace: namespace.clone(),
            host: host.to_owned(),
            program: program.to_owned(),
            package: program.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            logs,
            limit: TIME_LIMIT,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Command {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        for argument in arguments {
            self.arguments.push(argument.as_ref().to_owned());
        }
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Command {
        let pair = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.environment.push(pair);
        self
    }

    /// The Debian package that brings the program, when it is not named like it.
    pub fn package(mut self, package: &str) -> Command {
        package.clone_into(&mut self.package);
        self
    }

    /// How long [`run`](Command::run), [`finish`](Command::finish) and
    /// [`stream`](Command::stream) let the program run; 60 s when not said.
    pub fn time_limit(mut self, limit: Duration) -> Command {
        self.limit = limit;
        self
    }

    /// Starts the program and lets it run; its output goes to a log of the lab.
    ///
    /// # Errors
    ///
    /// Says which Debian package is missing, or what the system refused.
    pub fn spawn(self) -> Result<Process, LabError> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = self.logs.as_ref().map(|directory| {
            let program = Path::new(&self.program).file_name().unwrap_or_default();
            directory.join(format!(
                "{}-{}-{number}",
                self.host,
                program.to_string_lossy()
            ))
        });
        let (out, error) = match &log {
            None => (Stdio::null(), Stdio::null()),
            Some(path) => {
                let failed = || format!("write {}", path.display());
                let file = File::create(path).map_err(LabError::io(failed()))?;
                let again = file.try_clone().map_err(LabError::io(failed()))?;
                (Stdio::from(file), Stdio::from(again))
            }
        };
        self.start(out, error, log)
    }

    /// Runs the program to its end and gives what it said, however it ended.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn), and [`LabError::Deadline`] when it took too long.
    pub fn finish(self) -> Result<Finished, LabError> {
        let mut stdout = Vec::new();
        let (status, stderr) = self.feed(|from| from.read_to_end(&mut stdout).map(drop))?;
        Ok(Finished {
            status,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr,
        })
    }

    /// Runs the program to its end, which must be a success, and gives its standard output.
    ///
    /// # Errors
    ///
    /// As [`finish`](Command::finish), and [`LabError::Failed`] with what it said.
    pub fn run(self) -> Result<String, LabError> {
        let (command, host) = (self.line(), self.host.clone());
        let finished = self.finish()?;
        if finished.status.success() {
            return Ok(finished.stdout);
        }
        Err(LabError::Failed {
            command,
            host,
            status: finished.status,
            said: format!("{}{}", finished.stdout, finished.stderr),
        })
    }

    /// Runs the program to its end, which must be a success, and hands its standard output to
    /// `read` as it comes: for output too large to keep.
    ///
    /// # Errors
    ///
    /// As [`run`](Command::run), and whatever `read` reports.
    pub fn stream(
        self,
        read: impl FnOnce(&mut dyn Read) -> io::Result<()> + Send,
    ) -> Result<(), LabError> {
        let (command, host) = (self.line(), self.host.clone());
        let (status, said) = self.feed(read)?;
        if status.success() {
            return Ok(());
        }
        Err(LabError::Failed {
            command,
            host,
            status,
            said,
        })
    }

    /// Runs the program to its end with a thread on each of its outputs, so that neither can
    /// fill up and block it.
    fn feed(
        self,
        read: impl FnOnce(&mut dyn Read) -> io::Result<()> + Send,
    ) -> Result<(ExitStatus, String), LabError> {
        let (line, limit) = (self.line(), self.limit);
        let mut process = self.start(Stdio::piped(), Stdio::piped(), None)?;
        let outputs = (process.child.stdout.take(), process.child.stderr.take());
        let (Some(mut stdout), Some(mut stderr)) = outputs else {
            unreachable!("both outputs were asked for as pipes");
        };
        thread::scope(|scope| {
            let out = scope.spawn(move || read(&mut stdout));
            let error = scope.spawn(move || {
                let mut said = Vec::new();
                stderr.read_to_end(&mut said).map(|_| said)
            });
            // Kills it when it overstays, which closes both pipes, so that the threads end.
            let status = process.wait(limit);
            if status.is_err() {
                process.kill()?;
            }
            let failed = |error| LabError::io(format!("read the output of `{line}`"))(error);
            let out = out
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let error = error
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let status = status?;
            out.map_err(failed)?;
            let said = error.map_err(failed)?;
            Ok((status, String::from_utf8_lossy(&said).into_owned()))
        })
    }

    /// Spawns from a thread inside the host: the child inherits that thread's namespace.
    fn start(self, out: Stdio, error: Stdio, log: Option<PathBuf>) -> Result<Process, LabError> {
        let mut command = std::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(error)
            // A group of its own: Ctrl-C at the terminal is for the lab's owner to handle, and
            // a program with workers can be killed as a whole.
            .process_group(0);
        let line = self.line();
        let child = self
            .namespace
            .run(move || command.spawn())?
            .map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => LabError::Missing {
                    program: self.program.clone(),
                    host: self.host.clone(),
                    package: self.package.clone(),
                },
                _ => LabError::io(format!("start `{line}` on {}", self.host))(source),
            })?;
        tracing::debug!(host = %self.host, command = %line, pid = child.id(), "started");
        Ok(Process {
            line,
            host: self.host,
            child,
            status: None,
            log,
        })
    }

    /// The command as a person would type it.
    fn line(&self) -> String {
        let mut line = self.program.clone();
        for argument in &self.arguments {
            line.push(' ');
            line.push_str(&argument.to_string_lossy());
        }
        line
    }
}

/// A program running on a host, in a process group of its own. Dropping it ends the whole group:
/// SIGTERM, a few seconds of grace, SIGKILL.
#[derive(Debug)]
pub struct Process {
    line: String,
    host: String,
    child: Child,
    /// Set once the child is reaped; its number may then belong to somebody else.
    status: Option<ExitStatus>,
    log: Option<PathBuf>,
}

impl Process {
    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far, standard output and standard error together.
    pub fn log(&self) -> String {
        let Some(path) = &self.log else {
            return String::new();
        };
        match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("cannot read {}: {error}", path.display()),
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    ///
    /// Reports what the system refused.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, LabError> {
        if self.status.is_none() {
            let failed = LabError::io(format!("wait for `{}`", self.line));
            self.status = self.child.try_wait().map_err(failed)?;
        }
        Ok(self.status)
    }

    /// Sends a signal to the program itself.
    ///
    /// # Errors
    ///
    /// Fails when it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<(), LabError> {
        let action = format!("send {signal} to `{}` on {}", self.line, self.host);
        if self.ended()?.is_some() {
            return Err(LabError::errno(action)(Errno::ESRCH));
        }
        let pid = Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).map_err(LabError::errno(action))
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// [`LabError::Deadline`] with the end of its log.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, LabError> {
        let deadline = Deadline::after(limit);
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if deadline.passed() {
                return Err(LabError::Deadline {
                    what: format!("`{}` on {} to end", self.line, self.host),
                    waited: limit,
                    last: self.last_words(),
                });
            }
            wait::pause(Duration::from_millis(2));
        }
    }

    /// Waits until its log holds `text`.
    ///
    /// # Errors
    ///
    /// [`LabError::Deadline`], or [`LabError::Failed`] when it ended before.
    pub fn wait_until_says(&mut self, text: &str, limit: Duration) -> Result<(), LabError> {
        let deadline = Deadline::after(limit);
        loop {
            // In this order: a program may say it with its last breath.
            let ended = self.ended()?;
            if self.log().contains(text) {
                return Ok(());
            }
            if let Some(status) = ended {
                return Err(LabError::Failed {
                    command: self.line.clone(),
                    host: self.host.clone(),
                    status,
                    said: self.last_words(),
                });
            }
            if deadline.passed() {
                return Err(LabError::Deadline {
                    what: format!("`{}` on {} to say `{text}`", self.line, self.host),
                    waited: limit,
                    last: self.last_words(),
                });
            }
            wait::pause(Duration::from_millis(5));
        }
    }

    /// Ends it with SIGTERM and gives how it ended.
    ///
    /// # Errors
    ///
    /// [`LabError::Deadline`] when it does not; it is then killed.
    pub fn stop(mut self, limit: Duration) -> Result<ExitStatus, LabError> {
        if self.ended()?.is_none() {
            self.signal(Signal::SIGTERM)?;
        }
        self.wait(limit)
    }

    /// Kills it and its whole group at once, with SIGKILL, and reaps it.
    ///
    /// # Errors
    ///
    /// Reports what the system refused.
    pub fn kill(&mut self) -> Result<(), LabError> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        self.signal_group(Signal::SIGKILL)?;
        self.wait(GRACE).map(drop)
    }

    /// Only for a program that is not reaped: its number names its group for as long.
    fn signal_group(&self, signal: Signal) -> Result<(), LabError> {
        match killpg(Pid::from_raw(self.child.id().cast_signed()), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => {
                let action = format!("send {signal} to the group of `{}`", self.line);
                Err(LabError::errno(action)(error))
            }
        }
    }

    fn last_words(&self) -> String {
        match &self.log {
            Some(path) => last_lines(path, 20),
            None => "its output was not kept".to_owned(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let running = matches!(self.ended(), Ok(None));
        let ended = if running {
            self.signal_group(Signal::SIGTERM)
                .and_then(|()| self.wait(GRACE).map(drop))
                .or_else(|_| self.kill())
        } else {
            Ok(())
        };
        if let Err(error) = ended {
            tracing::error!(host = %self.host, command = %self.line, %error, "cannot end it");
        }
    }
}

/// The last lines of a file; empty when it cannot be read.
pub(crate) fn last_lines(path: &Path, count: usize) -> String {
    let Ok(bytes) = fs::read(path) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
