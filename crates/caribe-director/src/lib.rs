//! The director: one actor that owns all state of a running Caribe.
//!
//! [`Director`] is the functional core: `handle(event, now) -> effects`, with no clock, socket or
//! file inside. The table that the data plane should hold is *derived* from (configuration,
//! verdicts, overrides) on every event, never edited, and applied when it differs from the last one; the
//! same goes for floating addresses and monitors. [`run`] is the imperative shell around it:
//! tasks that carry bytes in and run effects.
//!
//! What a director answers is here too, because the daemon and the command line share it:
//! [`Status`] with its text form, and the [`LiveTable`] that `ipvsadm` lists. What this crate is
//! not: it does not probe (`caribe-health`), does not forward (`caribe-dataplane`), does not read
//! lvs.cf (`caribe-config`) and knows nothing of ipvsadm's words (`caribe-ipvsadm`).
//!
//! Start reading at [`Event`], then [`Effect`], then [`Director`].
#![forbid(unsafe_code)]

mod change;
mod counting;
mod director;
mod effect;
mod estimator;
mod event;
mod explaining;
mod happening;
mod intent;
mod live_table;
mod notice;
mod orders;
mod overrides;
mod rates;
mod shell;
mod status;
mod status_text;
mod wanted;

pub use change::{Change, ChangeRefusal, ServiceSettings};
pub use director::{Director, Setup};
pub use effect::{Effect, Ending, Notification};
pub use estimator::{Estimator, Unit};
pub use event::{Event, KernelForwarding};
pub use explaining::{ExplainError, ExplanationText};
pub use happening::{Happening, HappeningsPage, HappeningsQuery, Told, What};
pub use intent::{Intent, IntentError};
pub use live_table::{ConnectionsPage, ConnectionsQuery, LiveTable, SaveReport, TableService};
pub use notice::{Level, Notice};
pub use orders::{OrderRefusal, OrderRequest, StandingOrder};
pub use rates::Rates;
pub use shell::{ControlPaths, DirectorError, Options, run};
pub use status::{
    AddressStatus, ConfigurationStatus, ConnectionsStatus, DataplaneStatus, DrainingStatus,
    HistoryQuery, MonitorStatus, Past, Phase, ProbeStatus, QuorumStatus, ServerHistory,
    ServerState, ServerStatus, ServiceStatus, Status, TableStatus, TrafficRates, WatchStatus,
};
pub use status_text::StatusText;
pub use wanted::{NotifyProgram, WantedServer, WantedService};
