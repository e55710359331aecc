//! The XDP back end: the shell around the pure `table`, `schedule` and `slots`.
//!
//! [`XdpDataplane::open`] loads the program and its maps, or adopts those that a director left
//! running; [`Dataplane`] is implemented in `apply`, `sweep` and `snapshot`.
//! Everything is pinned under [`Options::pin_directory`], so that dropping an [`XdpDataplane`]
//! leaves packets flowing; only [`XdpDataplane::remove`] ends it.
//!
//! Reading order: `load` (from nothing), `adopt` (from what runs), `interfaces`, `apply`,
//! `next_hops`, `connection_table` and `sweep`, `snapshot`.

mod adopt;
mod apply;
mod connection_table;
mod connections;
mod destinations;
mod encoding;
mod error;
mod explain;
mod explain_frame;
mod interfaces;
#[expect(unsafe_code, reason = "system calls that aya has no function for")]
mod link;
mod load;
mod maps;
mod marks;
mod memory;
mod nat_ends;
mod next_hops;
mod options;
mod pins;
mod policies;
pub mod probe;
mod snapshot;
mod sweep;
mod traffic;
mod tuning;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use aya::Ebpf;
use caribe_model::{NextHop, Table, Timeouts, Tuning};

pub use connection_table::{Flow, LiveConnection};
pub use error::OpenError;
pub use explain::{Explainer, Whereabouts};
pub use memory::Memory;
pub use options::Options;

use self::interfaces::Attachment;
use self::maps::Maps;
use self::pins::Pins;
use self::sweep::Audit;
use crate::destinations::Housekeeping;
use crate::table::LiveTable;
use crate::{Applied, Dataplane, DataplaneError, Snapshot, Swept};

/// The data plane in the kernel's XDP hook.
///
/// Dropping it leaves the data plane running, for the next director to adopt.
pub struct XdpDataplane {
    /// The loaded program; the maps that only the program uses.
    ebpf: Ebpf,
    maps: Maps,
    pins: Pins,
    /// What the maps hold.
    live: LiveTable,
    /// Set while steps are carried out; found set afterwards, one failed, and the maps have to
    /// be read anew before the next change.
    torn: bool,
    /// Ways to servers, kept for servers that are added later.
    next_hops: BTreeMap<IpAddr, NextHop>,
    /// Interfaces that carry the program, by name.
    attached: BTreeMap<String, Attachment>,
    /// Interfaces that should.
    wanted: BTreeSet<String>,
    /// What sweeps remember of each other.
    audit: Audit,
    /// When what lblc and lblcr remember was looked at.
    housekeeping: Housekeeping,
    /// What concerns every service alike.
    tuning: Tuning,
    /// How full the tables are, as the last sweep found: the connections alive.
    alive: u64,
    /// Templates by server, as the last sweep counted them.
    persistent: BTreeMap<u32, u32>,
    adopted: bool,
}

// The director's actor owns it and may run on any thread.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<XdpDataplane>();
};

impl XdpDataplane {
    /// True when this director took over a running data plane with its connections.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// Takes everything out of the kernel: the program from every interface, maps and pins.
    /// Nothing is balanced from then on.
    ///
    /// # Errors
    ///
    /// Says what could not be removed; the rest is removed all the same.
    pub fn remove(self) -> Result<(), DataplaneError> {
        let mut result = Ok(());
        for attachment in self.attached.values() {
            let detached = self.pins.remove_link(attachment);
            if result.is_ok() {
                result = detached;
            }
        }
        let removed = self.pins.remove();
        result.and(removed)
    }
}

impl std::fmt::Debug for XdpDataplane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XdpDataplane")
            .field("pins", &self.pins.directory())
            .field("attached", &self.attached)
            .field("adopted", &self.adopted)
            .finish_non_exhaustive()
    }
}

impl Dataplane for XdpDataplane {
    fn apply(&mut self, desired: &Table) -> Result<Applied, DataplaneError> {
        self.apply_table(desired)
    }

    fn set_next_hop(
        &mut self,
        address: IpAddr,
        next_hop: Option<NextHop>,
    ) -> Result<(), DataplaneError> {
        match next_hop {
            Some(hop) => self.next_hops.insert(address, hop),
            None => self.next_hops.remove(&address),
        };
        for index in self.live.servers_at(address) {
            next_hops::write(&self.maps.servers, index, next_hop.as_ref());
        }
        Ok(())
    }

    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), DataplaneError> {
        let mut settings = self.maps.settings.read(0);
        settings.timeouts = encoding::timeouts(&timeouts);
        self.maps.settings.write(0, &settings);
        Ok(())
    }

    fn set_tuning(&mut self, tuning: Tuning) -> Result<(), DataplaneError> {
        self.tuning = tuning;
        // Servers are known before packets ask for them.
        self.put_nat_ends()?;
        self.put_tuning();
        Ok(())
    }

    fn sweep(&mut self) -> Result<Swept, DataplaneError> {
        self.sweep_tables()
    }

    fn snapshot(&self) -> Result<Snapshot, DataplaneError> {
        self.take_snapshot()
    }
}

/// The clock of the packet path.
fn now() -> Result<u32, DataplaneError> {
    crate::clock::now().map_err(|source| DataplaneError::Kernel {
        action: "read the coarse monotonic clock".to_owned(),
        source: source.into(),
    })
}
