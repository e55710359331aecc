//! What a command is run on.

use std::fmt;

use crate::{
    Command, Connection, Daemon, DaemonRole, Destination, DestinationId, LiveService, Service,
    ServiceId, Timeouts,
};

/// The table of services, with IPVS's rules: what exists already, what does not, what is refused.
pub trait Kernel {
    /// Adds a service without servers.
    fn add_service(&mut self, service: &Service) -> Result<(), KernelError>;
    /// Replaces everything of a service but its identity and its servers.
    fn edit_service(&mut self, service: &Service) -> Result<(), KernelError>;
    /// Removes a service and its servers.
    fn delete_service(&mut self, service: &ServiceId) -> Result<(), KernelError>;
    /// Removes all services.
    fn flush(&mut self) -> Result<(), KernelError>;
    /// Adds a server: it becomes the newest of its service.
    fn add_server(&mut self, service: &ServiceId, server: &Destination) -> Result<(), KernelError>;
    /// Replaces everything of a server but its identity.
    fn edit_server(&mut self, service: &ServiceId, server: &Destination)
    -> Result<(), KernelError>;
    /// Removes a server.
    fn delete_server(
        &mut self,
        service: &ServiceId,
        server: &DestinationId,
    ) -> Result<(), KernelError>;
    /// Sets the timeouts that are not 0.
    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), KernelError>;
    /// Starts a synchronization daemon.
    fn start_daemon(&mut self, daemon: &Daemon) -> Result<(), KernelError>;
    /// Stops the synchronization daemon of that role.
    fn stop_daemon(&mut self, role: DaemonRole) -> Result<(), KernelError>;
    /// Zeroes the counters of a service and its servers, or of all.
    fn zero(&mut self, service: Option<&ServiceId>) -> Result<(), KernelError>;
    /// All services, in the kernel's order.
    fn services(&mut self) -> Result<Vec<LiveService>, KernelError>;
    /// One service.
    fn service(&mut self, service: &ServiceId) -> Result<LiveService, KernelError>;
    /// The timeouts in force.
    fn timeouts(&mut self) -> Result<Timeouts, KernelError>;
    /// The daemons that run.
    fn daemons(&mut self) -> Result<Vec<Daemon>, KernelError>;
    /// Runs commands that change something, one after the other; what came of each. For a kernel
    /// for which many at once are cheaper than each by itself.
    fn change_all(&mut self, commands: &[Command]) -> Vec<Result<(), KernelError>> {
        commands
            .iter()
            .map(|command| change(self, command))
            .collect()
    }
    /// Every connection, in the kernel's order. There may be millions.
    fn connections(&mut self, each: &mut dyn FnMut(&Connection)) -> Result<(), KernelError>;
}

/// Runs one command that changes something.
pub fn change<K: Kernel + ?Sized>(kernel: &mut K, command: &Command) -> Result<(), KernelError> {
    match command {
        Command::AddService(service) => kernel.add_service(service),
        Command::EditService(service) => kernel.edit_service(service),
        Command::DeleteService(id) => kernel.delete_service(id),
        Command::Flush => kernel.flush(),
        Command::AddServer(id, server) => kernel.add_server(id, server),
        Command::EditServer(id, server) => kernel.edit_server(id, server),
        Command::DeleteServer(id, server) => kernel.delete_server(id, server),
        Command::SetTimeouts(timeouts) => kernel.set_timeouts(*timeouts),
        Command::StartDaemon(daemon) => kernel.start_daemon(daemon),
        Command::StopDaemon(role) => kernel.stop_daemon(*role),
        Command::Zero(id) => kernel.zero(id.as_ref()),
        // They change nothing.
        Command::List(_)
        | Command::Restore
        | Command::Save { .. }
        | Command::Help
        | Command::Version => Ok(()),
    }
}

/// What a kernel is asked for by a command that changes something.
pub(crate) fn call_of(command: &Command) -> Call {
    match command {
        Command::AddService(_) => Call::AddService,
        Command::EditService(_) => Call::EditService,
        Command::DeleteService(_) | Command::Zero(_) => Call::OneService,
        Command::AddServer(..) => Call::AddServer,
        Command::EditServer(..) | Command::DeleteServer(..) => Call::OneServer,
        Command::StartDaemon(_) => Call::StartDaemon,
        Command::StopDaemon(_) => Call::StopDaemon,
        _ => Call::Other,
    }
}

/// Why the kernel did not do it. What the words are depends on what was asked: see
/// [`KernelError::text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelError {
    /// `EEXIST`.
    Exists,
    /// `ENOENT`: no such server; of a service, no such scheduler or persistence engine.
    NotFound,
    /// `ESRCH`: no such service.
    NoService,
    /// `EINVAL`.
    Invalid,
    /// `ERANGE`.
    Range,
    /// `ENODEV`: no such interface.
    NoDevice,
    /// `EPERM`.
    Permission,
    /// `EAFNOSUPPORT`.
    Family,
    /// `ENOMEM`.
    Memory,
    /// Something that no kernel would say, in words for people.
    Refused(String),
    /// Nothing is there to be asked; why. ipvsadm's "Can't initialize ipvs", exit code 2.
    Unavailable(String),
}

/// What the kernel was asked for: the same error has other words in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `-A`.
    AddService,
    /// `-E`.
    EditService,
    /// `-D`, `-Z`, `-L` of one service.
    OneService,
    /// `-a`.
    AddServer,
    /// `-e`, `-d`.
    OneServer,
    /// `--start-daemon`.
    StartDaemon,
    /// `--stop-daemon`.
    StopDaemon,
    /// Everything else.
    Other,
}

impl KernelError {
    /// ipvsadm's words for the error.
    pub fn text(&self, call: Call) -> &str {
        match (self, call) {
            (KernelError::Exists, Call::AddService) => "Service already exists",
            (KernelError::Exists, Call::AddServer) => "Destination already exists",
            (KernelError::Exists, Call::StartDaemon) => "Daemon has already run",
            (KernelError::Exists, _) => "File exists",
            (KernelError::NotFound, Call::AddService | Call::EditService) => {
                "Scheduler or persistence engine not found"
            }
            (KernelError::NotFound, Call::OneServer) => "No such destination",
            (KernelError::NotFound, _) => "No such file or directory",
            (KernelError::NoService, Call::EditService | Call::OneService) => "No such service",
            (KernelError::NoService, Call::AddServer | Call::OneServer) => "Service not defined",
            (KernelError::NoService, Call::StopDaemon) => "No daemon is running",
            (KernelError::NoService, _) => "No such process",
            (KernelError::Invalid, _) => {
                "Invalid operation.  Possibly wrong module version, address not unicast, ..."
            }
            (KernelError::Range, _) => "Numerical result out of range",
            (KernelError::NoDevice, _) => "No such device",
            (KernelError::Permission, _) => "Permission denied (you must be root)",
            (KernelError::Family, _) => "Operation not supported with specified address family",
            (KernelError::Memory, _) => "Memory allocation problem",
            (KernelError::Refused(reason) | KernelError::Unavailable(reason), _) => reason,
        }
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(Call::Other))
    }
}

impl std::error::Error for KernelError {}
