//! Failover services: parsed and ignored.

use crate::keys::{Key, Kind};

use super::in_failover;

pub(super) const KEYS: &[Key] = &[in_failover("heartbeat", Kind::Anything)
    .misnomer("ignored")
    .meaning("Written by some versions of Piranha's web tool.")];
