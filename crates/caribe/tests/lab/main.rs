//! The real binary between real programs: nginx and a UDP echo as real servers, curl, wrk and
//! plain sockets as clients, tshark as witness, each in a network namespace of its own.
//!
//! Needs root. Every test builds its own network on a [`bed::Bed`], which also prepares the real
//! servers with `caribe real-server`, runs `caribe director` on an `lvs.cf`, and at the end proves
//! that nothing of it all remains. Tests run one at a time, whatever the harness is told: their
//! time limits are real.
#![forbid(unsafe_code)]

mod bed;
mod director;
mod drain;
mod listing;
mod lvs_cf;
mod spread;
mod traces;

mod adoption;
mod bodies;
mod crowded;
mod failure;
mod generic;
mod methods;
mod monitors;
mod orders;
mod passing;
mod refusal;
mod reload;
mod showing;
mod stop;
mod through;
mod unreachable;
mod watching;
