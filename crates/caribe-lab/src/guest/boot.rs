//! One boot of a guest: start, command, power off.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{GuestError, Initramfs, Kernel};
use crate::wait::{self, Deadline};

/// Marks on the guest's console, around what the command says.
const BEGIN: &str = "@@@ command begins";
const END: &str = "@@@ command ends with ";

/// A guest about to be booted.
#[derive(Debug, Clone)]
pub struct Guest<'a> {
    kernel: &'a Kernel,
    memory: u32,
    limit: Duration,
    virtual_time: bool,
}

/// What the command in the guest said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its exit status.
    pub status: i32,
    /// Its standard output and standard error together.
    pub output: String,
}

impl<'a> Guest<'a> {
    /// A guest with this kernel, 1 GB of memory and three minutes from power on to power off.
    pub fn new(kernel: &'a Kernel) -> Guest<'a> {
        Guest {
            kernel,
            memory: 1024,
            limit: Duration::from_secs(180),
            virtual_time: false,
        }
    }

    /// Memory in megabytes.
    pub fn memory(self, memory: u32) -> Guest<'a> {
        Guest { memory, ..self }
    }

    /// Time from power on to power off.
    pub fn time_limit(self, limit: Duration) -> Guest<'a> {
        Guest { limit, ..self }
    }

    /// What an instruction takes by the clock of [`Guest::virtual_time`].
    pub const INSTRUCTION: Duration = Duration::from_nanos(4);

    /// The guest's clock goes by the instructions that it executes, [`Guest::INSTRUCTION`] each, and
    /// jumps ahead while it has nothing to do. So its time does not depend on how busy this
    /// machine is, and sleeping costs nothing.
    pub fn virtual_time(self) -> Guest<'a> {
        Guest {
            virtual_time: true,
            ..self
        }
    }

    /// Boots, runs the shell command as root, and powers off. `/proc`, `/sys`, `/dev` and a
    /// bpffs on `/sys/fs/bpf` are mounted; busybox's commands are at hand.
    ///
    /// # Errors
    ///
    /// Says that qemu is missing, or what the console said when the guest did not finish. A
    /// command that fails is not an error here: see [`Said::status`].
    pub fn run(&self, mut files: Initramfs, command: &str) -> Result<Said, GuestError> {
        files.content(Path::new("/init"), init(command).as_bytes());
        let archive =
            tempfile::NamedTempFile::new().map_err(GuestError::io("create a temporary file"))?;
        fs::write(&archive, files.finish()).map_err(GuestError::io(format!(
            "write {}",
            archive.path().display()
        )))?;
        let console = self.console(archive.path())?;
        read(&console).ok_or_else(|| {
            let lines: Vec<&str> = console.lines().collect();
            GuestError::Unfinished {
                limit: self.limit,
                said: lines[lines.len().saturating_sub(40)..].join("\n"),
            }
        })
    }

    /// Boots to power off, or to the time limit, and gives all that the console said.
    fn console(&self, initramfs: &Path) -> Result<String, GuestError> {
        let failed = || GuestError::io("run qemu-system-x86_64");
        let mut child = Command::new("qemu-system-x86_64")
            .args([
                "-accel",
                "tcg",
                // The least that Debian runs on: what is wider is slower to emulate.
                "-cpu",
                "qemu64",
                "-m",
                &self.memory.to_string(),
            ])
            .args([
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-no-reboot",
            ])
            .args(["-serial", "stdio"])
            .args(if self.virtual_time {
                // 2^2 nanoseconds.
                &["-icount", "shift=2,sleep=off"][..]
            } else {
                &[]
            })
            .arg("-kernel")
            .arg(self.kernel.image())
            .arg("-initrd")
            .arg(initramfs)
            .args([
                "-append",
                "console=ttyS0 loglevel=0 panic=-1 mitigations=off",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => GuestError::Missing {
                    program: "qemu-system-x86_64",
                    package: "qemu-system-x86",
                },
                _ => failed()(source),
            })?;
        let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take())
        else {
            unreachable!("both outputs were asked for as pipes");
        };
        let deadline = Deadline::after(self.limit);
        thread::scope(|scope| {
            let console = scope.spawn(move || text(&mut stdout));
            let complaints = scope.spawn(move || text(&mut stderr));
            while child.try_wait().map_err(failed())?.is_none() {
                if deadline.passed() {
                    child.kill().map_err(failed())?;
                    child.wait().map_err(failed())?;
                    break;
                }
                wait::pause(Duration::from_millis(20));
            }
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let console: std::io::Result<String> = join(console);
            let complaints: std::io::Result<String> = join(complaints);
            Ok(console.map_err(failed())? + &complaints.map_err(failed())?)
        })
    }
}

/// Everything that comes, as text, with the line ends of this side of a serial line.
fn text(from: &mut dyn Read) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
}

/// The guest's first process.
fn init(command: &str) -> String {
    format!(
        "#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
echo '{BEGIN}'
(
{command}
) 2>&1
status=$?
echo
echo \"{END}$status\"
poweroff -f
"
    )
}

/// Finds what the command said on the console.
fn read(console: &str) -> Option<Said> {
    let (_, rest) = console.split_once(BEGIN)?;
    let (output, end) = rest.rsplit_once(END)?;
    Some(Said {
        status: end.lines().next()?.trim().parse().ok()?,
        output: output.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_said_is_between_the_marks() {
        let console = format!("SeaBIOS\n{BEGIN}\none\ntwo\n\n{END}3\npower down\n");
        let said = read(&console).expect("both marks");
        assert_eq!((said.status, said.output.as_str()), (3, "one\ntwo"));
    }

    #[test]
    fn a_guest_that_died_on_the_way_has_said_nothing() {
        assert_eq!(read(&format!("{BEGIN}\nKernel panic")), None);
    }
}
