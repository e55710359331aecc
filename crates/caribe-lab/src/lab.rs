//! A lab: the owner of hosts and switches.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::unistd::Uid;

use crate::{Host, LabError, Switch, leftovers};

/// Hosts and switches that vanish together.
///
/// Keep the lab alive for as long as anything in it is used, and drop it last: dropping it kills
/// every process in its namespaces and removes the namespaces, the bpffs with all that is pinned
/// in it, the logs and files.
///
/// ```no_run
/// use caribe_lab::{Lab, Port};
///
/// # fn main() -> Result<(), caribe_lab::LabError> {
/// let mut lab = Lab::new("example")?;
/// let lan = lab.switch("lan")?;
/// let client = lab.host("client")?;
/// client.connect(&lan, Port::new("eth0").address("10.1.0.100/24"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Lab {
    /// `NAME-PID`, in the name of everything that the lab makes.
    id: String,
    directory: PathBuf,
}

impl Lab {
    /// Makes an empty lab, after removing what killed labs left behind.
    ///
    /// # Errors
    ///
    /// Needs root, a name of `[a-z0-9-]`, and no other lab of that name in this process.
    pub fn new(name: &str) -> Result<Lab, LabError> {
        check_name("lab", name, true)?;
        if !Uid::effective().is_root() {
            return Err(LabError::NotRoot);
        }
        // A leftover that resists is a nuisance, and no reason to refuse every lab after it.
        if let Err(error) = Lab::remove_leftovers() {
            tracing::error!(%error, "cannot remove what a killed lab left behind");
            eprintln!("cannot remove what a killed lab left behind: {error}");
        }
        let pid = std::process::id();
        let id = format!("{name}-{pid}");
        let directory = Path::new(leftovers::DIRECTORY).join(&id);
        let lab = Lab { id, directory };
        lab.claim(pid)?;
        lab.mount_bpffs()?;
        Ok(lab)
    }

    /// Removes what killed labs left behind: their processes, namespaces and files. Gives their
    /// names. Every new lab does this first; a supervisor does it after its child died.
    ///
    /// # Errors
    ///
    /// Reports what could not be removed.
    pub fn remove_leftovers() -> Result<Vec<String>, LabError> {
        leftovers::remove_dead_labs()
    }

    /// Makes the lab's directory with the mark of its owner in it. The directory appears with
    /// its mark in one step, so that nobody takes a lab that just starts for a leftover.
    fn claim(&self, pid: u32) -> Result<(), LabError> {
        let mark = leftovers::process_mark(pid).unwrap_or_else(|| pid.to_string());
        // A name that no lab has, as it has no PID at its end.
        let draft = Path::new(leftovers::DIRECTORY).join(format!("{}.new", self.id));
        let logs = draft.join("log");
        fs::create_dir_all(&logs).map_err(LabError::io(format!("create {}", logs.display())))?;
        let bpffs = draft.join(leftovers::BPFFS);
        fs::create_dir_all(&bpffs).map_err(LabError::io(format!("create {}", bpffs.display())))?;
        let owner = draft.join(leftovers::OWNER);
        fs::write(&owner, mark).map_err(LabError::io(format!("write {}", owner.display())))?;
        match fs::rename(&draft, &self.directory) {
            Ok(()) => Ok(()),
            Err(error) => {
                fs::remove_dir_all(&draft)
                    .map_err(LabError::io(format!("remove {}", draft.display())))?;
                Err(match error.kind() {
                    ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => {
                        LabError::Taken(self.id.clone())
                    }
                    _ => LabError::io(format!("create {}", self.directory.display()))(error),
                })
            }
        }
    }

    /// A bpffs of the lab's own, wherever the machine has one: its end removes every pin.
    fn mount_bpffs(&self) -> Result<(), LabError> {
        let path = self.directory.join(leftovers::BPFFS);
        mount(
            Some("bpf"),
            &path,
            Some("bpf"),
            MsFlags::empty(),
            None::<&str>,
        )
        .map_err(LabError::errno(format!(
            "mount a bpffs on {}",
            path.display()
        )))
    }

    /// Adds a host: a network namespace with its loopback up.
    ///
    /// # Errors
    ///
    /// Needs a name of at most 8 characters of `[a-z0-9]` which the lab does not have yet.
    pub fn host(&mut self, name: &str) -> Result<Host, LabError> {
        check_name("host", name, false)?;
        Host::create(&self.id, name, &self.directory)
    }

    /// Adds a switch: a bridge in a namespace of its own.
    ///
    /// # Errors
    ///
    /// As [`Lab::host`].
    pub fn switch(&mut self, name: &str) -> Result<Switch, LabError> {
        check_name("switch", name, false)?;
        Switch::create(&self.id, name, &self.directory)
    }

    /// `NAME-PID`: part of the name of everything that this lab makes.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The lab's own directory: logs below `log`, and room for configuration files. Gone with
    /// the lab.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A directory of `owner`'s own on the lab's bpffs, e.g. one per director.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    pub fn pin_directory(&self, owner: &str) -> Result<PathBuf, LabError> {
        check_name("pin directory", owner, false)?;
        let path = self.directory.join(leftovers::BPFFS).join(owner);
        fs::create_dir_all(&path).map_err(LabError::io(format!("create {}", path.display())))?;
        Ok(path)
    }

    /// Takes the lab down and says what went wrong; dropping it merely logs that.
    ///
    /// # Errors
    ///
    /// Reports what could not be removed.
    pub fn remove(self) -> Result<(), LabError> {
        leftovers::remove(&self.id)
    }

    /// Prints the end of every log: what a person wants to see of a test that failed.
    fn print_logs(&self) {
        let Ok(entries) = fs::read_dir(self.directory.join("log")) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let text = crate::process::last_lines(&path, 40);
            if !text.is_empty() {
                eprintln!("--- {} ---\n{text}", entry.file_name().to_string_lossy());
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
        if let Err(error) = leftovers::remove(&self.id) {
            tracing::error!(lab = %self.id, %error, "cannot take the lab down");
            eprintln!("cannot take lab {} down: {error}", self.id);
        }
    }
}

/// Names go into file and interface names.
fn check_name(what: &'static str, name: &str, is_lab: bool) -> Result<(), LabError> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || (is_lab && c == '-');
    let longest = if is_lab { 40 } else { 8 };
    if !name.is_empty() && name.len() <= longest && name.chars().all(legal) {
        return Ok(());
    }
    Err(LabError::Name {
        what,
        name: name.to_owned(),
        rule: if is_lab {
            "1 to 40 of a-z, 0-9 and -"
        } else {
            "1 to 8 of a-z and 0-9"
        },
    })
}
