//! The directory on bpffs where everything is pinned:
//!
//! ```text
//! PIN_DIRECTORY/            locked by the director that uses it
//!     v4/                   one directory per layout of the maps
//!         director          the program
//!         SETTINGS ...      every map
//!         chapters/
//!             0             the program's chapters; each director has an array of its own
//!         links/
//!             2_native      the program on the interface with index 2
//! ```
//!
//! (bpffs takes no dots in names, so interfaces are told by index.)

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::Map;
use caribe_packet::settings::LAYOUT;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::error::{OpenError, kernel};
use super::interfaces::{Attachment, Mode};
use super::link::Link;
use crate::DataplaneError;

/// The pins of a director, and its lock on them.
#[derive(Debug)]
pub(super) struct Pins {
    root: PathBuf,
    /// The directory of this layout.
    directory: PathBuf,
    /// Held as long as the director lives; the kernel releases it whatever happens.
    _lock: Flock<File>,
}

impl Pins {
    /// Locks the directory, creating it where needed, and its parts.
    ///
    /// # Errors
    ///
    /// When it is not on a bpffs, another director has it, or another layout runs from it.
    pub(super) fn open(root: &Path) -> Result<Self, OpenError> {
        let existing = root
            .ancestors()
            .find(|ancestor| ancestor.exists())
            .unwrap_or(root);
        let kind = statfs(existing).map_err(kernel(format!(
            "ask for the file system of {}",
            existing.display()
        )))?;
        if kind.filesystem_type() != BPF_FS_MAGIC {
            return Err(OpenError::NotBpffs {
                directory: existing.to_owned(),
            });
        }
        fs::create_dir_all(root)
            .map_err(kernel(format!("create the directory {}", root.display())))?;
        let file =
            File::open(root).map_err(kernel(format!("open the directory {}", root.display())))?;
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                return Err(OpenError::Busy {
                    directory: root.to_owned(),
                });
            }
            Err((_, errno)) => {
                let error = kernel(format!("lock the directory {}", root.display()))(errno);
                return Err(error.into());
            }
        };
        let directory = root.join(format!("v{LAYOUT}"));
        for other in entries(root)? {
            if other != directory && other.is_dir() {
                if !entries(&other.join("links"))?.is_empty() {
                    return Err(OpenError::OtherLayout { directory: other });
                }
                tracing::info!(directory = %other.display(), "removing unused pins of another version");
                remove_tree(&other)?;
            }
        }
        let pins = Pins {
            root: root.to_owned(),
            directory,
            _lock: lock,
        };
        let links = pins.links();
        fs::create_dir_all(&links)
            .map_err(kernel(format!("create the directory {}", links.display())))?;
        Ok(pins)
    }

    /// The directory of this layout.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a map or the program is pinned.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn chapters(&self) -> PathBuf {
        self.directory.join("chapters")
    }

    /// Pins an array of chapters beside those that are there, and gives the path of the pin.
    ///
    /// The kernel empties an array of programs once no descriptor and no pin is left of it. So
    /// those of programs that may still run stay until
    /// [`keep_chapters`](Self::keep_chapters).
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(super) fn pin_chapters(&self, chapters: &Map) -> Result<PathBuf, DataplaneError> {
        let directory = self.chapters();
        let taken = entries(&directory)?;
        let path = (0u64..)
            .map(|number| directory.join(number.to_string()))
            .find(|path| !taken.contains(path))
            .ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull));
        let pin = || -> Result<PathBuf, Box<dyn std::error::Error + Send + Sync>> {
            let path = path?;
            fs::create_dir_all(&directory)?;
            chapters.pin(&path)?;
            Ok(path)
        };
        pin().map_err(kernel(format!(
            "pin the chapters of the program in {}",
            directory.display()
        )))
    }

    /// Removes all arrays of chapters but one, once no program uses the others.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(super) fn keep_chapters(&self, kept: &Path) -> Result<(), DataplaneError> {
        for path in entries(&self.chapters())? {
            if path != kept {
                fs::remove_file(&path).map_err(kernel(format!("remove {}", path.display())))?;
            }
        }
        Ok(())
    }

    fn links(&self) -> PathBuf {
        self.directory.join("links")
    }

    /// Where a link is pinned.
    pub(super) fn link_path(&self, attachment: &Attachment) -> PathBuf {
        self.links()
            .join(format!("{}_{}", attachment.index, attachment.mode.name()))
    }

    /// The links that are pinned. A file that is none of ours is told and left alone.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub(super) fn attachments(&self) -> Result<Vec<Attachment>, DataplaneError> {
        let mut attachments = Vec::new();
        for path in entries(&self.links())? {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let parsed = name.split_once('_').and_then(|(index, mode)| {
                Some(Attachment {
                    index: index.parse().ok()?,
                    mode: Mode::from_name(mode)?,
                })
            });
            match parsed {
                Some(attachment) => attachments.push(attachment),
                None => tracing::warn!(path = %path.display(), "not a link of this director"),
            }
        }
        Ok(attachments)
    }

    /// Takes the program off an interface and removes the pin.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(super) fn remove_link(&self, attachment: &Attachment) -> Result<(), DataplaneError> {
        let path = self.link_path(attachment);
        let detach = || -> io::Result<()> {
            Link::open(&path)?.detach()?;
            fs::remove_file(&path)
        };
        detach().map_err(kernel(format!(
            "take the program off interface {} (pin {})",
            attachment.index,
            path.display()
        )))
    }

    /// Removes the pins of this layout, to start afresh.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(super) fn clear(&self) -> Result<(), DataplaneError> {
        remove_tree(&self.directory)?;
        let links = self.links();
        fs::create_dir_all(&links)
            .map_err(kernel(format!("create the directory {}", links.display())))
    }

    /// Removes all pins, and the directory unless it holds something that is not ours.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(super) fn remove(self) -> Result<(), DataplaneError> {
        remove_tree(&self.directory)?;
        match fs::remove_dir(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                Err(kernel(format!(
                    "remove the directory {}",
                    self.root.display()
                ))(error))
            }
            _ => Ok(()),
        }
    }
}

fn remove_tree(directory: &Path) -> Result<(), DataplaneError> {
    fs::remove_dir_all(directory).map_err(kernel(format!("remove {}", directory.display())))
}

/// Paths in a directory; none when it does not exist.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, DataplaneError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(kernel(format!(
            "read the directory {}",
            directory.display()
        ))),
    }
}
