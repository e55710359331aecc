//! On which interfaces the program is.
//!
//! The driver's hook is tried first, the stack's own ("generic", slower) is the fall-back. Where
//! one interface needs it, all get it: a program in a driver can send only to interfaces whose
//! drivers know XDP as well, and what it sends elsewhere is lost without a count.
//!
//! A link dies with its interface; an interface of the same name that comes back gets a new one,
//! at the latest half a second later, with the next sweep.

use std::fmt;
use std::io;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, Xdp, XdpMode};

use super::XdpDataplane;
use super::error::kernel;
use super::link::Link;
use crate::{DataplaneError, LiveInterface};

/// The name of the program in the object.
pub(super) const PROGRAM: &str = crate::object::DIRECTOR;

/// The program on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attachment {
    /// Index of the interface.
    pub(super) index: u32,
    /// Where the program runs.
    pub(super) mode: Mode,
}

/// Where a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::Native => "native",
            Mode::Generic => "generic",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Mode::Native, Mode::Generic]
            .into_iter()
            .find(|mode| mode.name() == name)
    }

    fn aya(self) -> XdpMode {
        match self {
            Mode::Native => XdpMode::Driver,
            Mode::Generic => XdpMode::Skb,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl XdpDataplane {
    /// Attaches the program to these interfaces too. Attached ones stay as they are. They are
    /// wanted from then on: one that vanishes and comes back is attached anew by
    /// [`sweep`](crate::Dataplane::sweep).
    ///
    /// # Errors
    ///
    /// Names the first interface that does not exist, carries another XDP program, or refuses
    /// ours in both modes; those before it are attached.
    ///
    /// Once one is in generic mode, those in native mode are attached anew: for a moment their
    /// packets pass to the kernel.
    pub fn attach(&mut self, interfaces: &[String]) -> Result<(), DataplaneError> {
        for name in interfaces {
            self.refresh(name)?;
            if !self.attached.contains_key(name) {
                let index = index_of(name).ok_or_else(|| {
                    kernel(format!("attach to interface {name}"))(io::Error::from(
                        io::ErrorKind::NotFound,
                    ))
                })?;
                self.attach_index(name, index)?;
            }
            self.wanted.insert(name.clone());
        }
        self.agree_on_a_mode()
    }

    /// Takes the program off these interfaces. Those without it are passed over.
    ///
    /// # Errors
    ///
    /// What the kernel says of the first that it refuses to detach.
    pub fn detach(&mut self, interfaces: &[String]) -> Result<(), DataplaneError> {
        for name in interfaces {
            self.wanted.remove(name);
            if let Some(attachment) = self.attached.remove(name) {
                self.pins.remove_link(&attachment)?;
                tracing::info!(interface = %name, "took the XDP program off");
            }
        }
        Ok(())
    }

    /// Makes these the interfaces that carry the program: attaches first, then detaches others.
    ///
    /// # Errors
    ///
    /// As [`XdpDataplane::attach`] and [`XdpDataplane::detach`].
    pub fn set_interfaces(&mut self, interfaces: &[String]) -> Result<(), DataplaneError> {
        self.attach(interfaces)?;
        let others: Vec<String> = self
            .attached
            .keys()
            .chain(&self.wanted)
            .filter(|name| !interfaces.contains(name))
            .cloned()
            .collect();
        self.detach(&others)
    }

    /// The interfaces that carry the program, ordered by name.
    pub fn interfaces(&self) -> Vec<LiveInterface> {
        self.attached
            .iter()
            .map(|(name, attachment)| LiveInterface {
                name: name.clone(),
                index: attachment.index,
                mode: attachment.mode.name().to_owned(),
            })
            .collect()
    }

    /// Follows interfaces that vanished, came back, or changed their name.
    pub(super) fn follow_interfaces(&mut self) {
        let names: Vec<String> = self
            .wanted
            .iter()
            .chain(self.attached.keys())
            .cloned()
            .collect();
        for name in names {
            if let Err(error) = self.refresh(&name) {
                tracing::warn!(interface = %name, error = %error, "cannot drop a dead link");
                continue;
            }
            if self.attached.contains_key(&name) || !self.wanted.contains(&name) {
                continue;
            }
            if let Some(index) = index_of(&name)
                && let Err(error) = self.attach_index(&name, index)
            {
                tracing::warn!(interface = %name, %error, "an interface came back and refuses the program");
            }
        }
        if let Err(error) = self.agree_on_a_mode() {
            tracing::warn!(%error, "an interface is left without the program, to be tried again");
        }
    }

    /// Moves the program out of the drivers if it is in the stack on any interface. One that
    /// refuses is without it then, and still wanted.
    fn agree_on_a_mode(&mut self) -> Result<(), DataplaneError> {
        let in_mode = |mode: Mode| {
            let attached = self.attached.iter();
            attached.filter(move |(_, attachment)| attachment.mode == mode)
        };
        if in_mode(Mode::Generic).next().is_none() {
            return Ok(());
        }
        let natives: Vec<(String, Attachment)> = in_mode(Mode::Native)
            .map(|(name, attachment)| (name.clone(), *attachment))
            .collect();
        for (name, native) in natives {
            self.pins.remove_link(&native)?;
            self.attached.remove(&name);
            let generic = self
                .attach_in(native.index, Mode::Generic)
                .map_err(kernel(format!("attach to interface {name}")))?;
            tracing::warn!(
                interface = %name,
                "the XDP program runs in the network stack here too, slower: from the driver it \
                 could not send to the interfaces where it has to"
            );
            self.attached.insert(name, generic);
        }
        Ok(())
    }

    /// Forgets the attachment of a name that belongs to another interface now, or to none.
    fn refresh(&mut self, name: &str) -> Result<(), DataplaneError> {
        let Some(attachment) = self.attached.get(name).copied() else {
            return Ok(());
        };
        if index_of(name) == Some(attachment.index) {
            return Ok(());
        }
        self.attached.remove(name);
        tracing::warn!(interface = %name, index = attachment.index, "an interface with the program is gone");
        self.pins.remove_link(&attachment)
    }

    fn attach_index(&mut self, name: &str, index: u32) -> Result<(), DataplaneError> {
        let attachment = match self.attach_in(index, Mode::Native) {
            Ok(attachment) => attachment,
            Err(error) if is_native_missing(&error) => {
                tracing::warn!(
                    interface = %name,
                    reason = %error,
                    "the driver does not take the XDP program: it runs in the network stack, \
                     slower; on an interface that stands on another (a VLAN, a macvlan), turn \
                     GRO off below (`ethtool -K LOWER gro off`), since packets that were merged \
                     there are too big to forward"
                );
                self.attach_in(index, Mode::Generic)
                    .map_err(kernel(format!("attach to interface {name}")))?
            }
            Err(error) => return Err(kernel(format!("attach to interface {name}"))(error)),
        };
        tracing::info!(interface = %name, mode = %attachment.mode, "attached the XDP program");
        self.attached.insert(name.to_owned(), attachment);
        Ok(())
    }

    fn attach_in(&mut self, index: u32, mode: Mode) -> Result<Attachment, AttachError> {
        let attachment = Attachment { index, mode };
        let path = self.pins.link_path(&attachment);
        let program = program(&mut self.ebpf)?;
        let id = program.attach_to_if_index(index, mode.aya())?;
        let link = FdLink::try_from(program.take_link(id)?)?;
        // The pin keeps the link; the descriptor is not needed.
        link.pin(path)?;
        Ok(attachment)
    }

    /// Replaces the program of every pinned link by ours, and drops the links whose interface is
    /// gone.
    pub(super) fn adopt_links(&mut self) -> Result<(), DataplaneError> {
        for attachment in self.pins.attachments()? {
            let path = self.pins.link_path(&attachment);
            let interface = Link::open(&path)
                .and_then(|link| link.interface())
                .map_err(kernel(format!("open the link {}", path.display())))?;
            let name = interface.and_then(name_of);
            let (Some(_), Some(name)) = (interface, name) else {
                tracing::warn!(
                    index = attachment.index,
                    "an interface with the program is gone"
                );
                self.pins.remove_link(&attachment)?;
                continue;
            };
            self.replace_program(&path)
                .map_err(kernel(format!("replace the program on interface {name}")))?;
            self.wanted.insert(name.clone());
            self.attached.insert(name, attachment);
        }
        Ok(())
    }

    fn replace_program(&mut self, path: &std::path::Path) -> Result<(), AttachError> {
        let program = program(&mut self.ebpf)?;
        let link = XdpLink::try_from(FdLink::from(PinnedLink::from_pin(path)?))?;
        let id = program.attach_to_link(link)?;
        // The pin keeps the link; the descriptor is not needed.
        drop(program.take_link(id)?);
        Ok(())
    }
}

/// Why a program did not get onto an interface.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Link(#[from] aya::programs::links::LinkError),
    #[error(transparent)]
    Pin(#[from] aya::pin::PinError),
    #[error("the object holds no XDP program `{PROGRAM}`")]
    Missing,
}

/// The program out of the object.
pub(super) fn program(ebpf: &mut aya::Ebpf) -> Result<&mut Xdp, AttachError> {
    let program = ebpf.program_mut(PROGRAM).ok_or(AttachError::Missing)?;
    Ok(program.try_into()?)
}

/// True when another mode may be had: the interface is there, it is free and it is ours to take.
fn is_native_missing(error: &AttachError) -> bool {
    let AttachError::Program(error) = error else {
        return false;
    };
    let number = match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::XdpError(_) => return true,
        _ => return false,
    };
    !matches!(
        number,
        Some(libc::EBUSY | libc::EEXIST | libc::ENODEV | libc::EPERM | libc::ENOMEM)
    )
}

/// Index of the interface with a name, in this thread's network namespace.
pub(super) fn index_of(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

/// Name of the interface with an index, in this thread's network namespace.
pub(super) fn name_of(index: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(index).ok()?;
    name.into_string().ok()
}
