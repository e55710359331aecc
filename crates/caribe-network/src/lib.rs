//! What the kernel's network knows and does for a director: interfaces, addresses, the way to a
//! real server (route and neighbour), and announcements of an address that moved.
//!
//! Everything goes through netlink and packet sockets; no program is run. There is no policy
//! here: which addresses float, which servers are watched and when to announce is decided by the
//! director. Nothing here forwards a packet either, that is `caribe-dataplane`.
//!
//! Start reading at [`Network`]; [`Watcher`] keeps next hops warm, and its judgement is a pure
//! core without sockets or clock.
#![forbid(unsafe_code)]

mod address;
mod announce;
mod announcement;
mod changes;
mod error;
mod interface;
mod neighbour;
mod network;
mod resolve;
mod route;
mod watch;
mod watcher;

pub use address::{AddressOutcome, AssignedAddress, FloatingSpec};
pub use announcement::{ArpForm, gratuitous_arp, unsolicited_advertisement};
pub use changes::{Change, Changes};
pub use error::NetworkError;
pub use interface::{AttachedXdp, Interface};
pub use network::Network;
pub use resolve::{NoWay, Way};
pub use watcher::{WatchHandle, Watcher};
