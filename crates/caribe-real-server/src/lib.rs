//! Prepares a Linux machine as a real server: VIPs that it takes packets for without answering
//! for them, and for tunnelling a program that unwraps the packets. Undoes it exactly, and tells
//! whether it is in place.
//!
//! That keeps nothing running; the kernel does the work. `agent` alone is a daemon, and a separate
//! thing: it tells directors how busy the machine is. Neither knows the director, nor which
//! services there are.
//!
//! [`plan`] and [`status`] are pure: both judge a [`Request`] by [`Facts`], piece by piece (see
//! `piece.rs`, the place to start reading). [`inspect`], [`up`] and [`down`] are the shell around
//! them, and [`cli`] is the sub-command.
#![forbid(unsafe_code)]

mod agent;
mod arp_rules;
pub mod cli;
mod decapsulator;
mod error;
mod execute;
mod facts;
mod inspect;
mod nfnetlink;
mod piece;
mod plan;
mod refusal;
mod request;
mod setting;
mod state;
mod status;

pub use arp_rules::ArpRule;
pub use error::RealServerError;
pub use execute::{Places, down, up};
pub use facts::{Counts, Decapsulator, Facts};
pub use inspect::inspect;
pub use plan::{Action, Undo, plan};
pub use refusal::Refusal;
pub use request::{ArpMode, Method, Request};
pub use setting::{Key, Scope, Setting, Settings};
pub use state::State;
pub use status::{PieceStatus, Status, VipStatus, status};
