//! The guest's file system: a cpio archive in the "newc" format of the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{GuestError, run};

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;

/// An archive under construction.
#[derive(Debug, Default)]
pub struct Initramfs {
    bytes: Vec<u8>,
    /// Directories are entries of their own, before what is in them, once.
    directories: BTreeSet<PathBuf>,
    /// Files of the guest so far: a library shared by two programs goes in once.
    files: BTreeSet<PathBuf>,
}

impl Initramfs {
    /// An archive with a static busybox as `/bin/busybox`.
    ///
    /// # Errors
    ///
    /// Says that busybox is missing.
    pub fn with_busybox() -> Result<Initramfs, GuestError> {
        let mut archive = Initramfs::default();
        let path = Path::new("/bin/busybox");
        if !path.exists() {
            return Err(GuestError::Missing {
                program: "busybox",
                package: "busybox-static",
            });
        }
        archive.program(path, path)?;
        for directory in ["/proc", "/sys", "/dev", "/run", "/tmp"] {
            archive.directory(Path::new(directory));
        }
        Ok(archive)
    }

    /// Adds a file of this machine under the guest's name `to`, executable.
    ///
    /// # Errors
    ///
    /// Reports why it cannot be read.
    pub fn file(&mut self, to: &Path, from: &Path) -> Result<(), GuestError> {
        let content = fs::read(from).map_err(GuestError::io(format!("read {}", from.display())))?;
        self.content(to, &content);
        Ok(())
    }

    /// Adds a program with every library that it needs, its dynamic loader included, at the
    /// places where it looks for them.
    ///
    /// # Errors
    ///
    /// Reports why a file cannot be read.
    pub fn program(&mut self, to: &Path, from: &Path) -> Result<(), GuestError> {
        self.file(to, from)?;
        for library in libraries(from)? {
            self.file(&library, &library)?;
        }
        Ok(())
    }

    /// Adds a file with this content, executable.
    pub fn content(&mut self, to: &Path, content: &[u8]) {
        if !self.files.insert(to.to_owned()) {
            return;
        }
        if let Some(parent) = to.parent() {
            self.directory(parent);
        }
        self.entry(to, EXECUTABLE, content);
    }

    /// Adds a directory and those above it.
    pub fn directory(&mut self, path: &Path) {
        let above: Vec<&Path> = path
            .ancestors()
            .filter(|path| path.parent().is_some())
            .collect();
        for directory in above.into_iter().rev() {
            if self.directories.insert(directory.to_owned()) {
                self.entry(directory, DIRECTORY, &[]);
            }
        }
    }

    /// The finished archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry(Path::new("TRAILER!!!"), 0, &[]);
        self.bytes
    }

    /// A header of 13 numbers in hexadecimal, the name, the content; each padded to 4 bytes.
    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) {
        let path = path.to_string_lossy();
        let name = path.trim_start_matches('/');
        let number = self.files.len() + self.directories.len();
        let links = if mode == DIRECTORY { 2 } else { 1 };
        let fields = [
            number,
            mode as usize,
            0, // owner
            0, // group
            links,
            0, // time of change
            content.len(),
            0, // device, major
            0, // device, minor
            0, // special file, major
            0, // special file, minor
            name.len() + 1,
            0, // check
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The libraries of a program, by `ldd`: each absolute path in its listing.
fn libraries(program: &Path) -> Result<Vec<PathBuf>, GuestError> {
    let mut command = Command::new("ldd");
    match run("ldd", "libc-bin", command.arg(program)) {
        Ok(listing) => Ok(listing
            .split_whitespace()
            .filter(|word| word.starts_with('/') && !word.ends_with(':'))
            .map(PathBuf::from)
            .collect()),
        Err(GuestError::Failed { said, .. }) if said.contains("not a dynamic executable") => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_parents_come_first() {
        let mut archive = Initramfs::default();
        archive.content(Path::new("/usr/bin/tool"), b"12345");
        archive.content(Path::new("/usr/bin/tool"), b"added twice");
        archive.content(Path::new("/usr/lib/part"), b"");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let at = |name: &str| text.find(&format!("{name}\0")).expect("an entry");
        assert!(at("usr") < at("usr/bin") && at("usr/bin") < at("usr/bin/tool"));
        assert!(at("usr/lib/part") < at("TRAILER!!!"));
        assert_eq!(text.matches("070701").count(), 6);
        assert!(!text.contains("added twice"));
        // The size of `tool`, in the header before its name.
        assert!(text[..at("usr/bin/tool")].ends_with("0000000d00000000"));
    }
}
