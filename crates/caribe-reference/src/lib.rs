//! The real kernel as the reference: the same random scenarios are played to Linux's ip_vs and to
//! another director that means to be IPVS, and what they did is compared.
//!
//! A [`Scenario`] is a script of `ipvsadm` commands and packets, made from a seed by [`generate`].
//! [`play`] plays it to any [`Director`] over two TAP devices and writes a [`Transcript`] of all
//! that ipvsadm printed and all that came out. [`play_in_guests`] does that in Debian's kernel,
//! emulated. [`compare`] finds where two transcripts differ, but for the [`DEVIATIONS`] that are
//! meant; [`Shrinking`] makes the scenario of a difference small enough to read.
//!
//! What this crate is not: it knows nothing of Caribe. The test `kernel` of the crate `caribe`
//! brings the two together.
//!
//! Start reading at [`Scenario`], then [`play`], then [`compare`].
#![forbid(unsafe_code)]

mod cases;
mod compare;
mod deviations;
mod error;
mod frame;
mod generate;
mod guest_error;
mod kernel;
mod listing;
mod netfilter;
pub mod network;
mod play;
mod random;
pub mod scenario;
mod seen;
mod shrink;
mod wire;

pub use cases::{Case, cases};
pub use compare::{Difference, compare};
pub use deviations::{DEVIATIONS, Deviation};
pub use error::PlayError;
pub use generate::generate;
pub use guest_error::GuestError;
pub use kernel::{agent, play_in_guests};
pub use play::{Director, Observed, Rules, Said, Transcript, ip_batch, play, restore, run};
pub use scenario::Scenario;
pub use seen::Seen;
pub use shrink::Shrinking;
pub use wire::Wire;
