//! A director as ipvsadm's kernel.

use std::path::PathBuf;

use caribe_dataplane::xdp::LiveConnection;
use caribe_dataplane::{LiveServer, Traffic};
use caribe_director::{
    Change, ChangeRefusal, ConnectionsPage, ControlPaths, LiveTable, ServiceSettings, TableService,
    TrafficRates,
};
use caribe_ipvsadm::{
    Command, Connection, ConnectionProtocol, Daemon, DaemonRole, Destination, DestinationId,
    Kernel, KernelError, LiveDestination, LiveService, Protocol, Rates, ServerRefusal, Service,
    ServiceId, Statistics, Timeouts, Unsupported, change,
};
use caribe_model::{Server, ServiceKey};

use crate::client::{Client, ClientError};

/// The director with one runtime directory. It is asked only when there is something to ask.
#[derive(Debug)]
pub(super) struct DirectorKernel {
    directory: PathBuf,
    client: Option<Client>,
}

impl DirectorKernel {
    pub(super) fn new(directory: PathBuf) -> Self {
        DirectorKernel {
            directory,
            client: None,
        }
    }

    fn client(&mut self) -> Result<&Client, KernelError> {
        if self.client.is_none() {
            self.client = Some(Client::new(&self.directory).map_err(error)?);
        }
        // Just made, if there was none.
        self.client
            .as_ref()
            .ok_or_else(|| KernelError::Unavailable("no client".to_owned()))
    }

    fn table(&mut self) -> Result<LiveTable, KernelError> {
        self.client()?.get(ControlPaths::TABLE).map_err(error)
    }

    fn change(&mut self, change: &Change) -> Result<(), KernelError> {
        let client = self.client()?;
        client.post(ControlPaths::OVERRIDES, change).map_err(error)
    }
}

impl DirectorKernel {
    /// Makes changes in batches; what came of each.
    fn make(&mut self, changes: &[Change]) -> Vec<Result<(), KernelError>> {
        let mut results = Vec::with_capacity(changes.len());
        for batch in changes.chunks(ControlPaths::LARGEST_BATCH) {
            let answer = self
                .client()
                .and_then(|client| client.ask(ControlPaths::BATCH, &batch).map_err(error));
            match answer {
                Ok(refusals) => {
                    let refusals: Vec<Option<ChangeRefusal>> = refusals;
                    results.extend(refusals.into_iter().map(|it| it.map_or(Ok(()), refused)));
                }
                // The rest is not tried: the first of them tells why.
                Err(error) => {
                    results.resize(changes.len(), Err(error));
                    break;
                }
            }
        }
        results
    }
}

/// A command in the director's words.
fn as_change(command: &Command) -> Result<Change, KernelError> {
    Ok(match command {
        Command::AddService(service) => {
            let (key, settings) = settings(service)?;
            Change::AddService(key, settings)
        }
        Command::EditService(service) => {
            let (key, settings) = settings(service)?;
            Change::EditService(key, settings)
        }
        Command::DeleteService(id) => Change::RemoveService((*id).into()),
        Command::Flush => Change::Clear,
        Command::AddServer(id, server) => Change::AddServer((*id).into(), model_server(server)?),
        Command::EditServer(id, server) => Change::EditServer((*id).into(), model_server(server)?),
        Command::DeleteServer(id, server) => Change::RemoveServer((*id).into(), (*server).into()),
        Command::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => Change::SetTimeouts {
            tcp: *tcp,
            tcp_fin: *tcp_fin,
            udp: *udp,
        },
        _ => return Err(KernelError::Invalid),
    })
}

impl Kernel for DirectorKernel {
    fn add_service(&mut self, service: &Service) -> Result<(), KernelError> {
        let (key, settings) = settings(service)?;
        self.change(&Change::AddService(key, settings))
    }

    fn edit_service(&mut self, service: &Service) -> Result<(), KernelError> {
        let (key, settings) = settings(service)?;
        self.change(&Change::EditService(key, settings))
    }

    fn delete_service(&mut self, service: &ServiceId) -> Result<(), KernelError> {
        self.change(&Change::RemoveService((*service).into()))
    }

    fn flush(&mut self) -> Result<(), KernelError> {
        self.change(&Change::Clear)
    }

    fn add_server(&mut self, service: &ServiceId, server: &Destination) -> Result<(), KernelError> {
        let server = self.server_of(service, server)?;
        self.change(&Change::AddServer((*service).into(), server))
    }

    fn edit_server(
        &mut self,
        service: &ServiceId,
        server: &Destination,
    ) -> Result<(), KernelError> {
        let server = self.server_of(service, server)?;
        self.change(&Change::EditServer((*service).into(), server))
    }

    fn delete_server(
        &mut self,
        service: &ServiceId,
        server: &DestinationId,
    ) -> Result<(), KernelError> {
        self.change(&Change::RemoveServer((*service).into(), (*server).into()))
    }

    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), KernelError> {
        let Timeouts { tcp, tcp_fin, udp } = timeouts;
        self.change(&Change::SetTimeouts { tcp, tcp_fin, udp })
    }

    fn start_daemon(&mut self, _daemon: &Daemon) -> Result<(), KernelError> {
        Err(unsupported(Unsupported {
            what: "synchronization daemons (--start-daemon)".to_owned(),
        }))
    }

    fn stop_daemon(&mut self, _role: DaemonRole) -> Result<(), KernelError> {
        // None is ever started.
        Err(KernelError::NoService)
    }

    fn zero(&mut self, service: Option<&ServiceId>) -> Result<(), KernelError> {
        let service: Option<ServiceKey> = service.map(|id| (*id).into());
        self.client()?
            .post(ControlPaths::ZERO, &service)
            .map_err(error)
    }

    fn services(&mut self) -> Result<Vec<LiveService>, KernelError> {
        Ok(self.table()?.services.iter().map(live_service).collect())
    }

    fn service(&mut self, service: &ServiceId) -> Result<LiveService, KernelError> {
        let services = self.services()?.into_iter();
        let mut found = services.filter(|live| live.service.id == *service);
        found.next().ok_or(KernelError::NoService)
    }

    fn timeouts(&mut self) -> Result<Timeouts, KernelError> {
        let timeouts = self.table()?.timeouts;
        let seconds = |timeout: std::time::Duration| {
            // ipvsadm sets no longer ones.
            u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX)
        };
        Ok(Timeouts {
            tcp: seconds(timeouts.tcp),
            tcp_fin: seconds(timeouts.tcp_fin),
            udp: seconds(timeouts.udp),
        })
    }

    fn daemons(&mut self) -> Result<Vec<Daemon>, KernelError> {
        // Whether the director is there is worth knowing all the same.
        self.table().map(|_| Vec::new())
    }

    fn change_all(&mut self, commands: &[Command]) -> Vec<Result<(), KernelError>> {
        if let [command] = commands {
            return vec![change(self, command)];
        }
        let changes = commands.iter().map(as_change);
        let mut results: Vec<Result<(), KernelError>> = Vec::with_capacity(commands.len());
        let mut wanted = Vec::new();
        for change in changes {
            results.push(match change {
                Ok(change) => {
                    wanted.push(change);
                    Ok(())
                }
                Err(error) => Err(error),
            });
        }
        let mut answers = self.make(&wanted).into_iter();
        for result in results.iter_mut().filter(|result| result.is_ok()) {
            // There is an answer for each.
            *result = answers.next().unwrap_or(Ok(()));
        }
        for (command, result) in commands.iter().zip(&mut results) {
            if let Command::AddServer(service, server) | Command::EditServer(service, server) =
                command
                && result.is_err()
                && let Err(error) = self.server_of(service, server)
            {
                *result = Err(error);
            }
        }
        results
    }

    fn connections(&mut self, each: &mut dyn FnMut(&Connection)) -> Result<(), KernelError> {
        let client = self.client()?;
        let mut after = 0;
        loop {
            let path = format!("{}?after={after}", ControlPaths::CONNECTIONS);
            let page: ConnectionsPage = client.get(&path).map_err(error)?;
            page.connections
                .iter()
                .filter_map(connection)
                .for_each(|it| each(&it));
            match page.next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }
}

impl DirectorKernel {
    /// A server as the model has it. The kernel looks for the service before it looks at the server.
    fn server_of(&mut self, id: &ServiceId, server: &Destination) -> Result<Server, KernelError> {
        model_server(server).or_else(|refusal| self.service(id).and(Err(refusal)))
    }
}

fn unsupported(unsupported: Unsupported) -> KernelError {
    KernelError::Refused(unsupported.to_string())
}

fn settings(service: &Service) -> Result<(ServiceKey, ServiceSettings), KernelError> {
    let model = service.to_model().map_err(unsupported)?;
    let (key, service) = model.ok_or(KernelError::NotFound)?;
    Ok((key, ServiceSettings::of(&service)))
}

fn model_server(server: &Destination) -> Result<Server, KernelError> {
    Server::try_from(server).map_err(|refusal| match refusal {
        ServerRefusal::NoPort => KernelError::Invalid,
        ServerRefusal::Thresholds(_) => KernelError::Range,
        ServerRefusal::Unsupported(what) => unsupported(what),
    })
}

fn refused(refusal: ChangeRefusal) -> Result<(), KernelError> {
    Err(of_refusal(refusal))
}

fn of_refusal(refusal: ChangeRefusal) -> KernelError {
    match refusal {
        ChangeRefusal::ServiceExists(_) | ChangeRefusal::ServerExists(..) => KernelError::Exists,
        ChangeRefusal::NoService(_) => KernelError::NoService,
        ChangeRefusal::NoServer(..) => KernelError::NotFound,
        other => KernelError::Refused(other.to_string()),
    }
}

fn error(error: ClientError) -> KernelError {
    match error {
        ClientError::Change(refusal) => of_refusal(refusal),
        ClientError::Refused { .. } => KernelError::Refused(error.to_string()),
        other => KernelError::Unavailable(other.to_string()),
    }
}

fn live_service(service: &TableService) -> LiveService {
    let live = &service.live;
    let servers = live.servers.iter().zip(&service.server_rates);
    let model = caribe_model::Service {
        scheduler: live.scheduler,
        options: live.options,
        persistence: live.persistence,
        one_packet: live.one_packet,
        policy: live.policy,
        servers: Vec::new(),
    };
    LiveService {
        service: Service::from_model(live.key, &model),
        statistics: statistics(&live.traffic),
        rates: rates(&service.rates),
        destinations: servers.map(live_server).collect(),
    }
}

fn live_server((live, server_rates): (&LiveServer, &TrafficRates)) -> LiveDestination {
    let model = Server {
        key: live.key,
        forwarding: live.forwarding,
        weight: live.weight,
        encapsulation: live.encapsulation,
        thresholds: live.thresholds,
    };
    LiveDestination {
        destination: Destination::from(&model),
        active: live.active,
        inactive: live.inactive,
        persistent: live.persistent,
        statistics: statistics(&live.traffic),
        rates: rates(server_rates),
    }
}

fn statistics(traffic: &Traffic) -> Statistics {
    Statistics {
        connections: traffic.connections,
        packets_in: traffic.packets_in,
        packets_out: traffic.packets_out,
        bytes_in: traffic.bytes_in,
        bytes_out: traffic.bytes_out,
    }
}

fn rates(rates: &TrafficRates) -> Rates {
    Rates {
        connections: rates.connections,
        packets_in: rates.packets_in,
        packets_out: rates.packets_out,
        bytes_in: rates.bytes_in,
        bytes_out: rates.bytes_out,
    }
}

/// A connection, if it is of a protocol that IPVS has.
fn connection(live: &LiveConnection) -> Option<Connection> {
    let known = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    let transport = known
        .into_iter()
        .find(|protocol| protocol.number() == live.protocol)
        .map(ConnectionProtocol::Transport);
    // The template of a firewall mark has no protocol.
    let mark = (live.template && live.protocol == 0).then_some(ConnectionProtocol::Mark);
    Some(Connection {
        protocol: transport.or(mark)?,
        expires: live.left.as_secs(),
        state: live.state.clone(),
        client: live.client,
        virtual_address: live.vip,
        destination: live.server,
        engine: None,
    })
}
