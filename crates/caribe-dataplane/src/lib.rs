//! The data plane behind one trait.
//!
//! [`Dataplane`] is what the director talks to: a desired table in, counters out. The XDP back
//! end, [`xdp::XdpDataplane`], loads the programs of `caribe-ebpf`, keeps their maps equal to the
//! table, sweeps expired connections, and survives its own restart: everything in the kernel is
//! pinned, and the next director adopts it.
//!
//! What a packet meets is not here but in `caribe-ebpf` and `caribe-packet`; which servers are
//! good, and what the table should be, is the director's business.
//!
//! Start reading at [`Dataplane`], then `table` (the pure core: from changes to steps), then
//! [`xdp`] (the shell that carries the steps out).
#![deny(unsafe_code)]

mod clock;
mod dataplane;
mod destinations;
mod explanation;
#[expect(unsafe_code, reason = "memory that the kernel shares")]
mod mapped;
mod marks;
pub mod object;
mod schedule;
mod slots;
mod table;
pub mod xdp;

pub use dataplane::*;
pub use explanation::*;
