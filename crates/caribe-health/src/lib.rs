//! Watches real servers: nanny's job in Piranha, without a process per server.
//!
//! [`probe`] are the eyes: fourteen ways to look at a server, each bounded in bytes and time. [`Monitor`] is the
//! judgement: a pure state machine that decides from what probes found whether a server may
//! serve. [`Monitors`] is the set of them with their timetable and the bound on open sockets,
//! pure as well: time is a parameter. Only [`spawn`] touches the world: one thread that probes
//! and reports verdicts.
//!
//! What the verdicts come to is pure again: [`ServerHealth`] puts together what the monitors,
//! the agent and the load of a server say, and [`Pool`] decides for all servers of a service who
//! is in the table, with what weight.
//!
//! [`path`] leads probes that are addressed to a VIP to one server, on the way of the data.
//!
//! This crate knows nothing of the data plane or of configuration files: both are the director's
//! business. Start reading at [`Monitor`], then [`ServerHealth`], then [`Pool`].
#![forbid(unsafe_code)]

mod climb;
mod clock;
mod history;
mod identity;
mod monitor;
mod monitors;
mod order;
pub mod path;
mod pool;
pub mod probe;
mod probers;
mod server;
mod settings;
mod task;
mod timing;
pub mod weight;
mod wheel;

pub use clock::Clock;
pub use history::History;
pub use identity::{MonitorId, MonitorName, ServerId};
pub use monitor::{Monitor, Outcome, Presumption, Step};
pub use monitors::{Limits, Monitors, MonitorsEffect, MonitorsEvent, News, Report, Ticket};
pub use order::Order;
pub use pool::{Claim, Placement, Pool, PoolRules};
pub use server::{Occurrence, Opinion, ServerHealth, ServerRules, Standing};
pub use settings::Settings;
pub use task::{MonitorsHandle, spawn};
pub use timing::{Initial, Timing};
