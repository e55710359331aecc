//! Network namespaces as a library: hosts, switches, links, and the real programs that run on
//! them (nginx, curl, wrk, tshark, a UDP echo), for tests, the demo and benchmarks.
//!
//! Everything here is real: a [`Host`] is a kernel network namespace, a [`Switch`] a bridge in a
//! namespace of its own, a link a veth pair. Nothing is simulated and nothing knows how Caribe
//! works; the lab could test any load balancer. It needs root, and it leaves nothing behind: a
//! [`Lab`] removes its namespaces, processes and files when dropped, and the next lab removes
//! what a killed one could not.
//!
//! Start reading at [`Lab`], then [`topology`] for the network that most tests use.
//! [`guest`] boots another kernel in an emulator, for what this one cannot show.
#![forbid(unsafe_code)]

mod capture;
mod curl;
mod error;
pub mod guest;
mod host;
mod lab;
mod leftovers;
mod link;
mod namespace;
mod netlink;
mod nginx;
mod pass;
mod payload;
mod process;
mod switch;
pub mod topology;
mod udp;
pub mod wait;
mod wrk;

pub use capture::{Capture, Packet};
pub use curl::{Body, Burst, Curl};
pub use error::LabError;
pub use host::{Host, Interface};
pub use lab::Lab;
pub use link::Port;
pub use nginx::Nginx;
pub use pass::PassError;
pub use payload::{Digest, Payload};
pub use process::{Command, Finished, Process};
pub use switch::Switch;
pub use udp::{UdpClient, UdpEcho};
pub use wrk::{Wrk, WrkReport};
