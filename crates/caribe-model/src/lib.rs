//! The domain of a layer-4 director, in types: virtual services, real servers, schedulers,
//! forwarding methods, the desired table and the difference between two tables.
//!
//! There is no I/O here, no clock and no file format. Text becomes these types in
//! `caribe-config`; the data plane is made equal to a [`Table`] by `caribe-dataplane`.
//! Start reading at [`Table`].
#![forbid(unsafe_code)]

mod diff;
mod encapsulation;
mod hash_buckets;
mod mark;
mod monotonic;
mod next_hop;
mod persistence;
mod policy;
mod scheduler;
mod scheduler_options;
mod service;
mod thresholds;
mod timeouts;
mod tuning;

pub use diff::{Change, diff};
pub use encapsulation::{Encapsulation, GueChecksum};
pub use hash_buckets::{
    HASH_BUCKETS, Unfair, greatest_common_divisor, smallest_of_same_ratios, source_hash_buckets,
    unfairest_of_source_hash,
};
pub use mark::{MarkRule, PortRange};
pub use monotonic::Monotonic;
pub use next_hop::{MacAddress, NextHop};
pub use persistence::{Netmask, Persistence};
pub use policy::{MssClamp, Policy, ReuseMode};
pub use scheduler::Scheduler;
pub use scheduler_options::{SchedulerFlags, SchedulerOptions, TableSize};
pub use service::{
    Family, Forwarding, Protocol, Server, ServerKey, Service, ServiceKey, Table, TableError,
    UnknownWord,
};
pub use thresholds::{Thresholds, ThresholdsCrossed};
pub use timeouts::Timeouts;
pub use tuning::{Defence, Tuning};
