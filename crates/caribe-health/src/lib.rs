//! Watches real servers: nanny's job in Piranha, without a process per server.
//!
//! [`probe`] is the look at a server: fourteen kinds of it, each bounded in bytes and time.
//! [`Monitor`] is the judgement: one pure state machine per (service, server) that decides from
//! probe results when a server serves and when it does not. [`Monitors`] is the set of them with
//! their timetable and the bound on open sockets, pure as well: time is a parameter. Only
//! [`spawn`] touches the world: one tokio task that connects sockets and reports verdicts.
//!
//! This crate knows nothing of tables, weights or quiescing: what a verdict means for the data
//! plane is the director's business. Start reading at [`Monitor`].
#![forbid(unsafe_code)]

mod clock;
mod connect;
mod monitor;
mod monitors;
pub mod probe;
mod settings;
mod task;
pub mod weight;

pub use clock::Clock;
pub use connect::ProbeFailure;
pub use monitor::{Monitor, MonitorEffect, MonitorEvent, Presumption, Verdict};
pub use monitors::{Limits, MonitorId, Monitors, MonitorsEffect, MonitorsEvent, Ticket};
pub use settings::{Check, Settings};
pub use task::{MonitorsHandle, Report, spawn};
