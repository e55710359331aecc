//! A kernel that writes down what it is asked, in the bytes of IPVS's socket options.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::rc::Rc;

use caribe_ipvsadm::{
    Connection, Daemon, DaemonRole, Destination, DestinationId, Forwarding, Kernel, KernelError,
    LiveService, Netmask, Output, Service, ServiceId, Timeouts, program,
};
use caribe_model::Family;

use crate::program::{Debian, Said};

/// Standard error, where calls and messages come in their order.
#[derive(Debug, Default, Clone)]
struct Log(Rc<RefCell<String>>);

/// Standard output.
#[derive(Debug)]
struct Streams {
    out: String,
    log: Log,
}

impl Output for Streams {
    fn out(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn error(&mut self, text: &str) {
        self.log.0.borrow_mut().push_str(text);
    }
}

/// Runs our program as the real one is run.
pub(super) fn ours(words: &[&str], input: &str) -> Said {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let log = Log::default();
    let mut kernel = Recorder { log: log.clone() };
    let mut streams = Streams {
        out: String::new(),
        log: log.clone(),
    };
    let mut read = || Ok(input.to_owned());
    let code = program(
        "ipvsadm",
        &words,
        &Debian,
        &mut kernel,
        &mut read,
        &mut streams,
    );
    let error = log.0.borrow().clone();
    Said {
        out: streams.out,
        error,
        code,
    }
}

struct Recorder {
    log: Log,
}

/// The option's structures of IPv4; there are none for IPv6 and for engines.
#[derive(Debug, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn word(mut self, word: u32) -> Self {
        self.0.extend(word.to_ne_bytes());
        self
    }

    fn text(mut self, text: &str) -> Self {
        let mut field = [0; 16];
        field[..text.len()].copy_from_slice(text.as_bytes());
        self.0.extend(field);
        self
    }

    fn address(mut self, address: IpAddr) -> Result<Self, KernelError> {
        let IpAddr::V4(address) = address else {
            return Err(KernelError::Family);
        };
        self.0.extend(address.octets());
        Ok(self)
    }

    fn port(mut self, port: u16) -> Self {
        self.0.extend(port.to_be_bytes());
        self.0.extend([0; 2]);
        self
    }

    fn identity(self, id: &ServiceId) -> Result<Self, KernelError> {
        match *id {
            ServiceId::Address {
                protocol,
                address,
                port,
            } => {
                let bytes = self.word(u32::from(protocol.number()));
                Ok(bytes.address(address)?.port(port).word(0))
            }
            ServiceId::Mark {
                mark,
                family: Family::V4,
            } => Ok(self.word(6).word(0).word(0).word(mark.get())),
            ServiceId::Mark { .. } => Err(KernelError::Family),
        }
    }

    /// A service of which nothing but the identity matters.
    fn bare(self, id: &ServiceId) -> Result<Self, KernelError> {
        Ok(self.identity(id)?.text("").word(0).word(0).word(u32::MAX))
    }

    fn service(self, service: &Service) -> Result<Self, KernelError> {
        let Netmask::V4(mask) = service.netmask else {
            return Err(KernelError::Family);
        };
        if service.engine.is_some() {
            return Err(KernelError::Family);
        }
        let flags = u32::from(service.persistence.is_some())
            | u32::from(service.one_packet) << 2
            | u32::from(service.flags.bits()) << 3;
        let timeout = service.persistence.map_or(0, |it| it.timeout);
        let bytes = self.identity(&service.id)?;
        let bytes = bytes.text(service.scheduler.as_str());
        bytes.word(flags).word(timeout).address(mask.into())
    }

    fn server(
        self,
        id: &DestinationId,
        method: u32,
        weight: u32,
        thresholds: [u32; 2],
    ) -> Result<Self, KernelError> {
        let bytes = self.address(id.address)?.port(id.port);
        let [upper, lower] = thresholds;
        Ok(bytes.word(method).word(weight).word(upper).word(lower))
    }

    fn destination(self, server: &Destination) -> Result<Self, KernelError> {
        let method = match server.forwarding {
            Forwarding::Masquerade => 0,
            Forwarding::Local => 1,
            Forwarding::Tunnel(_) => 2,
            Forwarding::Direct => 3,
        };
        let thresholds = [server.upper_threshold, server.lower_threshold];
        self.server(&server.id, method, server.weight, thresholds)
    }
}

impl Recorder {
    fn set(&self, option: u32, bytes: &Bytes) -> Result<(), KernelError> {
        let mut log = self.log.0.borrow_mut();
        let _infallible = write!(log, "set {option} ");
        for byte in &bytes.0 {
            let _infallible = write!(log, "{byte:02x}");
        }
        log.push('\n');
        Ok(())
    }

    fn get(&self, option: u32) {
        let _infallible = writeln!(self.log.0.borrow_mut(), "get {option}");
    }
}

impl Kernel for Recorder {
    fn add_service(&mut self, service: &Service) -> Result<(), KernelError> {
        self.set(1154, &Bytes::default().service(service)?)
    }

    fn edit_service(&mut self, service: &Service) -> Result<(), KernelError> {
        self.set(1155, &Bytes::default().service(service)?)
    }

    fn delete_service(&mut self, id: &ServiceId) -> Result<(), KernelError> {
        self.set(1156, &Bytes::default().bare(id)?)
    }

    fn flush(&mut self) -> Result<(), KernelError> {
        self.set(1157, &Bytes::default())
    }

    fn add_server(&mut self, id: &ServiceId, server: &Destination) -> Result<(), KernelError> {
        self.set(1159, &Bytes::default().bare(id)?.destination(server)?)
    }

    fn edit_server(&mut self, id: &ServiceId, server: &Destination) -> Result<(), KernelError> {
        self.set(1161, &Bytes::default().bare(id)?.destination(server)?)
    }

    fn delete_server(&mut self, id: &ServiceId, server: &DestinationId) -> Result<(), KernelError> {
        // Method and weight are what they are when nothing is said, and do not matter.
        let bytes = Bytes::default().bare(id)?.server(server, 3, 1, [0, 0])?;
        self.set(1160, &bytes)
    }

    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), KernelError> {
        let Timeouts { tcp, tcp_fin, udp } = timeouts;
        self.set(1162, &Bytes::default().word(tcp).word(tcp_fin).word(udp))
    }

    fn start_daemon(&mut self, daemon: &Daemon) -> Result<(), KernelError> {
        let role = 1 + u32::from(daemon.role == DaemonRole::Backup);
        let bytes = Bytes::default().word(role).text(&daemon.interface);
        self.set(1163, &bytes.word(u32::from(daemon.sync_id)))
    }

    fn stop_daemon(&mut self, role: DaemonRole) -> Result<(), KernelError> {
        let role = 1 + u32::from(role == DaemonRole::Backup);
        self.set(1164, &Bytes::default().word(role).text("").word(0))
    }

    fn zero(&mut self, id: Option<&ServiceId>) -> Result<(), KernelError> {
        let bytes = match id {
            Some(id) => Bytes::default().bare(id)?,
            None => {
                let nothing = Bytes::default().word(0).word(0).word(0).word(0);
                nothing.text("").word(0).word(0).word(u32::MAX)
            }
        };
        self.set(1167, &bytes)
    }

    fn services(&mut self) -> Result<Vec<LiveService>, KernelError> {
        self.get(1154);
        Ok(Vec::new())
    }

    fn service(&mut self, id: &ServiceId) -> Result<LiveService, KernelError> {
        if id.family() == Family::V4 {
            self.get(1155);
            Err(KernelError::NoService)
        } else {
            Err(KernelError::Family)
        }
    }

    fn timeouts(&mut self) -> Result<Timeouts, KernelError> {
        self.get(1158);
        Ok(Timeouts {
            tcp: 0,
            tcp_fin: 0,
            udp: 0,
        })
    }

    fn daemons(&mut self) -> Result<Vec<Daemon>, KernelError> {
        self.get(1159);
        Ok(Vec::new())
    }

    fn connections(&mut self, _each: &mut dyn FnMut(&Connection)) -> Result<(), KernelError> {
        Err(KernelError::Refused(
            "cannot open file /proc/net/ip_vs_conn".to_owned(),
        ))
    }
}
