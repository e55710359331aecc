//! What of a table's room is not in use, and when what was in use may be used again.

use std::collections::VecDeque;

use super::Room;
use crate::slots::{FreeRuns, Retired, Run};

/// Slots and cursor of a service as it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Former {
    pub(super) run: Run,
    pub(super) cursor: u32,
}

/// What is left of the room. A plan takes from a copy, which it leaves behind if it is carried out.
#[derive(Debug, Clone)]
pub(super) struct Spare {
    /// Ids; least recently used first, so that an index rests before its next use.
    pub(super) services: VecDeque<u32>,
    /// Indexes; least recently used first.
    pub(super) servers: VecDeque<u32>,
    pub(super) slots: FreeRuns,
    pub(super) cursors: FreeRuns,
    /// What packets in flight may still use.
    pub(super) retired: Retired<Former>,
    /// Number of the next server that is added: tells an adopting director the order.
    pub(super) next_sequence: u64,
}

impl Spare {
    /// All of the room.
    pub(super) fn new(room: Room) -> Self {
        let mut cursors = FreeRuns::new(room.cursors);
        cursors.take_exactly(Run { base: 0, length: 1 });
        Spare {
            services: (1..=room.services).collect(),
            servers: (1..=room.servers.saturating_mul(2)).collect(),
            slots: FreeRuns::new(room.slots),
            cursors,
            retired: Retired::new(),
            next_sequence: 1,
        }
    }

    /// Lets what was retired long enough ago be used again.
    pub(super) fn end_grace(&mut self, now: u32) {
        for former in self.retired.take_expired(now) {
            self.slots.give_back(former.run);
            if former.cursor != 0 {
                self.cursors.give_back(Run {
                    base: former.cursor,
                    length: 1,
                });
            }
        }
    }
}
