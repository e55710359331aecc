//! Three things about pinned links that aya has no call for: open one by its path, take its
//! program off at once, and ask to which interface it belongs.
//!
//! Removing the pin of a link detaches its program as well, but some milliseconds later, from
//! the kernel's work queue; whoever attaches anew in between is told that the interface is busy.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// `BPF_OBJ_GET` and its attributes (the rest of the kernel's union counts as zero).
const OBJECT_GET: libc::c_long = 7;

#[repr(C)]
struct ObjectGet {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// `BPF_LINK_DETACH` and its attributes.
const LINK_DETACH: libc::c_long = 34;

#[repr(C)]
struct LinkDetach {
    link: u32,
}

/// A pinned link.
#[derive(Debug)]
pub(super) struct Link(OwnedFd);

impl Link {
    /// Opens a pin.
    ///
    /// # Errors
    ///
    /// What bpf(2) says.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let name = CString::new(path.as_os_str().as_bytes())?;
        let attributes = ObjectGet {
            path: name.as_ptr() as u64,
            descriptor: 0,
            flags: 0,
        };
        // SAFETY: the attributes are those of the command and outlive the call, as does the
        // name that they point to.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                OBJECT_GET,
                &raw const attributes,
                size_of::<ObjectGet>() as libc::c_long,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
        Ok(Link(unsafe { OwnedFd::from_raw_fd(result as i32) }))
    }

    /// Takes the program off its interface. A link whose interface is gone has nothing to take
    /// off, which is fine.
    ///
    /// # Errors
    ///
    /// What bpf(2) says.
    pub(super) fn detach(&self) -> io::Result<()> {
        // A descriptor that is open is not negative.
        let attributes = LinkDetach {
            link: self.0.as_raw_fd() as u32,
        };
        // SAFETY: the attributes are those of the command and outlive the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                LINK_DETACH,
                &raw const attributes,
                size_of::<LinkDetach>() as libc::c_long,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Index of the interface; `None` when it is gone.
    ///
    /// # Errors
    ///
    /// When /proc does not tell.
    pub(super) fn interface(&self) -> io::Result<Option<u32>> {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd()))?;
        let index = text
            .lines()
            .find_map(|line| line.strip_prefix("ifindex:"))
            .and_then(|index| index.trim().parse::<u32>().ok())
            .ok_or_else(|| io::Error::other("the pin is no link of an XDP program"))?;
        Ok(Some(index).filter(|index| *index != 0))
    }
}
