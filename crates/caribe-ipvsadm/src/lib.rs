//! The command line of ipvsadm 1.31: words become a [`Command`], a command is run on a
//! [`Kernel`], and tables become the listings that scripts out there depend on, to the column.
//!
//! Everything observable is ipvsadm's: its options and their grammar, which option goes with which
//! command, every message and exit code, the order and the format of its listings, what `-S`
//! writes and how `-R` reads. Where a rule looks odd, a test compares it with the real program.
//! The vocabulary is the whole of IPVS's (firewall marks, SCTP, persistence, tunnels, ...), which
//! may be more than the [`Kernel`] at hand can do: that one says so by [`KernelError::Refused`].
//!
//! What this crate is not: it does no I/O. Names of hosts and ports come from a [`Names`], the
//! table lives behind [`Kernel`], text goes out by an [`Output`].
//!
//! Start reading at [`program`], then [`Command`], then [`Kernel`].
#![forbid(unsafe_code)]

mod address;
mod command;
mod connection;
mod daemon;
mod destination;
mod kernel;
mod listing;
mod live;
mod model;
mod names;
mod number;
mod options;
mod parse;
mod popt;
mod program;
mod refusal;
mod restore;
mod save;
mod scheduling;
mod service;
mod usage;
mod validity;

pub use command::{Command, Listed, Table, View};
pub use connection::{Connection, ConnectionProtocol, EngineData};
pub use daemon::{Daemon, DaemonRole, Timeouts};
pub use destination::{Checksum, Destination, DestinationId, Forwarding, Tunnel};
pub use kernel::{Call, Kernel, KernelError, change};
pub use live::{LiveDestination, LiveService, Rates, Statistics};
pub use model::{ServerRefusal, Unsupported};
pub use names::{Names, Numeric};
pub use parse::parse;
pub use program::{Output, program};
pub use refusal::Refusal;
pub use restore::{restore, wrapped_restore};
pub use scheduling::{SchedulerFlags, SchedulerName};
pub use service::{Netmask, Persistence, Protocol, Service, ServiceId};
