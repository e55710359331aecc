//! Runs a program within bounds: its time, its output, and its whole process group.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::Code;
use super::deadline::Deadline;
use super::finding::{Found, Step};

/// No more output than this is read; a program that says more is ended.
const MOST_OUTPUT: usize = 64 * 1024;

/// How long the output of a program that has ended may be held open by what it left behind.
const GRACE: Duration = Duration::from_millis(200);

/// A program that ended by itself.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) status: ExitStatus,
    pub(super) output: Vec<u8>,
    pub(super) complaint: Vec<u8>,
}

/// Runs a program without input. When it is overdue, or the probe is dropped, it is killed with
/// all that it started; what a program that ended left running is left alone.
pub(super) async fn run(
    words: &[String],
    environment: &[(&str, &str)],
    deadline: &Deadline,
) -> Step<Ran> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Found::new(Code::ProgramError, "there is no program to run"));
    };
    let child = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            Found::new(
                spawn_code(&error),
                format_args!("cannot run {program}: {error}"),
            )
        })?;
    let mut group = Group(child);
    let stage = format_args!("running {program}");
    deadline
        .bound(Code::ProgramTimeout, stage, listen(&mut group.0))
        .await?
        .map_err(|error| match error {
            Trouble::Talkative => Found::new(
                Code::ProgramError,
                format_args!("{program} said more than {MOST_OUTPUT} bytes and was killed"),
            ),
            Trouble::Io(error) => Found::new(
                Code::Local,
                format_args!("cannot follow {program}: {error}"),
            ),
        })
}

/// A program that is missing is the check's failure; a director that cannot fork is its own.
fn spawn_code(error: &io::Error) -> Code {
    let ours = [Errno::EAGAIN, Errno::ENOMEM, Errno::EMFILE, Errno::ENFILE];
    let number = error.raw_os_error().map(Errno::from_raw);
    if number.is_some_and(|number| ours.contains(&number)) {
        Code::Local
    } else {
        Code::ProgramError
    }
}

/// The leader of a process group, which goes with it.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // There is no id once the leader was reaped; before that, the number is its own.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id
            && let Err(error) = killpg(Pid::from_raw(id), Signal::SIGKILL)
            && error != Errno::ESRCH
        {
            tracing::warn!(id, %error, "cannot kill a check program and what it started");
        }
    }
}

enum Trouble {
    Talkative,
    Io(io::Error),
}

/// Reads both outputs until the program has ended and they are closed.
async fn listen(child: &mut Child) -> Result<Ran, Trouble> {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut output, mut complaint) = (Vec::new(), Vec::new());
    let status = {
        let mut reading = std::pin::pin!(async {
            tokio::try_join!(
                read(&mut stdout, &mut output),
                read(&mut stderr, &mut complaint)
            )
        });
        tokio::select! {
            read = &mut reading => {
                read?;
                child.wait().await.map_err(Trouble::Io)?
            }
            status = child.wait() => {
                // What it said may still lie in the pipes. A background process may hold them
                // open, and has nothing more to say that matters.
                if let Ok(read) = timeout(GRACE, &mut reading).await {
                    read?;
                }
                status.map_err(Trouble::Io)?
            }
        }
    };
    Ok(Ran {
        status,
        output,
        complaint,
    })
}

async fn read(from: &mut Option<impl AsyncRead + Unpin>, to: &mut Vec<u8>) -> Result<(), Trouble> {
    let Some(from) = from else { return Ok(()) };
    let mut buffer = [0; 4096];
    loop {
        let received = from.read(&mut buffer).await.map_err(Trouble::Io)?;
        if received == 0 {
            return Ok(());
        }
        to.extend(&buffer[..received]);
        if to.len() > MOST_OUTPUT {
            return Err(Trouble::Talkative);
        }
    }
}
