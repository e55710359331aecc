//! The director: one actor that owns all state of a running Caribe.
//!
//! [`Director`] is the functional core: `handle(event, now) -> effects`, with no clock, socket or
//! file inside. The table that the data plane should hold is *derived* from (configuration,
//! verdicts) on every event, never edited, and applied when it differs from the last one; the
//! same goes for floating addresses and monitors. [`run`] is the imperative shell around it:
//! tasks that carry bytes in and run effects.
//!
//! What is shown to people is here too, because the daemon and the command line share it:
//! [`Status`] with its text form, and the [`listing`] of `ipvsadm`. What this crate is not: it
//! does not probe (`caribe-health`), does not forward (`caribe-dataplane`) and does not read
//! lvs.cf (`caribe-config`).
//!
//! Start reading at [`Event`], then [`Effect`], then [`Director`].
#![forbid(unsafe_code)]

mod director;
mod effect;
mod estimator;
mod event;
mod intent;
pub mod listing;
mod notice;
mod rates;
mod shell;
mod status;
mod status_text;

pub use director::{Director, Setup};
pub use effect::{Effect, Ending, Notification};
pub use estimator::{Estimator, Unit};
pub use event::{Event, KernelForwarding};
pub use intent::{Intent, IntentError, WantedServer, WantedService};
pub use notice::{Level, Notice};
pub use rates::Rates;
pub use shell::{ControlPaths, DirectorError, Options, run};
pub use status::{
    AddressStatus, ConfigurationStatus, ConnectionsStatus, DataplaneStatus, Phase, ServerState,
    ServerStatus, ServiceStatus, Status, TrafficRates,
};
pub use status_text::StatusText;
