//! Where a case stands: a table of services and servers, frames in, and everything asserted that
//! comes out.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::mpsc::Sender;

use caribe_packet::server::{DIRECT, IN_SERVICE, MASQUERADE, REACHABLE, Server, TUNNEL};
use caribe_packet::service::{Choice, Service, Slot};
use caribe_packet::verdict::Verdict;
use libtest_mimic::{Failed, Trial};

use crate::checksums;
use crate::fields::{compare, describe, scapy};
use crate::flow::{BACK_MAC, server_mac};
use crate::frame::{Body, Frame, Packet, leading};
use crate::plane::{Action, Entry, Plane, SMALL, Sizes};

/// A frame that a case sent, for those who look at all cases together.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) case: String,
    pub(crate) verdict: Verdict,
    /// The frame that came out, if it was sent on.
    pub(crate) emitted: Option<Vec<u8>>,
    /// False when the frame that went in had a checksum that is wrong on purpose.
    pub(crate) is_sound: bool,
}

/// What a frame must become.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// Left to the kernel, untouched.
    Passed(Verdict),
    /// Dropped.
    Dropped(Verdict),
    /// Sent back out of the interface that it came by.
    Transmitted(Verdict, Frame),
    /// Sent out of another interface.
    Redirected(Verdict, Frame),
}

impl Expected {
    fn verdict(&self) -> Verdict {
        match self {
            Expected::Passed(verdict)
            | Expected::Dropped(verdict)
            | Expected::Transmitted(verdict, _)
            | Expected::Redirected(verdict, _) => *verdict,
        }
    }

    fn action(&self) -> Action {
        match self {
            Expected::Passed(_) => Action::Pass,
            Expected::Dropped(_) => Action::Drop,
            Expected::Transmitted(..) => Action::Transmit,
            Expected::Redirected(..) => Action::Redirect,
        }
    }

    fn frame(&self) -> Option<&Frame> {
        match self {
            Expected::Passed(_) | Expected::Dropped(_) => None,
            Expected::Transmitted(_, frame) | Expected::Redirected(_, frame) => Some(frame),
        }
    }
}

/// Where a frame comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Where clients are.
    Front,
    /// Where servers are.
    Back,
}

/// The cases, as they are gathered.
pub(crate) struct Cases {
    trials: Vec<Trial>,
    sent: Sender<Sent>,
}

impl Cases {
    pub(crate) fn new(sent: Sender<Sent>) -> Cases {
        Cases {
            trials: Vec::new(),
            sent,
        }
    }

    /// Adds a case.
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        case: impl FnOnce(&mut Bench<'_>) + Send + 'static,
    ) {
        let (name, sent) = (name.into(), self.sent.clone());
        let own_name = name.clone();
        self.trials.push(Trial::test(name, move || {
            on_this_threads_plane(own_name, sent, case)
        }));
    }

    /// Adds a case whose maps have other sizes than most cases'.
    pub(crate) fn add_sized(
        &mut self,
        name: impl Into<String>,
        sizes: Sizes,
        case: impl FnOnce(&mut Bench<'_>) + Send + 'static,
    ) {
        let (name, sent) = (name.into(), self.sent.clone());
        self.add_alone(name.clone(), move || {
            let mut plane = Plane::load(sizes);
            let mut bench = Bench::new(name, &mut plane, sent);
            case(&mut bench);
            bench.finish();
            Ok(())
        });
    }

    /// Adds a test that brings its own plane or needs none.
    pub(crate) fn add_alone(
        &mut self,
        name: impl Into<String>,
        test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) {
        self.trials.push(Trial::test(name, test));
    }

    /// Where tests that bring their own plane tell what they sent.
    pub(crate) fn sender(&self) -> Sender<Sent> {
        self.sent.clone()
    }

    pub(crate) fn into_trials(self) -> Vec<Trial> {
        self.trials
    }
}

/// Runs a case on the plane of this thread, which is loaded once and reset before every case. A
/// case that panics takes the plane with it.
fn on_this_threads_plane(
    name: String,
    sent: Sender<Sent>,
    case: impl FnOnce(&mut Bench<'_>),
) -> Result<(), Failed> {
    thread_local! {
        static PLANE: RefCell<Option<Plane>> = const { RefCell::new(None) };
    }
    let mut plane = PLANE.take().unwrap_or_else(|| Plane::load(SMALL));
    let mut bench = Bench::new(name, &mut plane, sent);
    case(&mut bench);
    bench.finish();
    PLANE.set(Some(plane));
    Ok(())
}

/// A real server to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewServer {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) forwarding: u8,
    pub(crate) tunnel_source: Option<IpAddr>,
    pub(crate) mtu: u16,
    pub(crate) side: Side,
    /// How a tunnel wraps: bits of the server's flags, and the port of GUE.
    pub(crate) wrapping: (u8, u16),
}

impl NewServer {
    /// A NAT server.
    pub(crate) fn nat(address: IpAddr, port: u16) -> NewServer {
        NewServer {
            address,
            port,
            forwarding: MASQUERADE,
            tunnel_source: None,
            mtu: 1500,
            side: Side::Back,
            wrapping: (0, 0),
        }
    }

    /// A server by direct routing, on the port of the service.
    pub(crate) fn direct(address: IpAddr) -> NewServer {
        NewServer {
            forwarding: DIRECT,
            ..NewServer::nat(address, 0)
        }
    }

    /// A server by tunnelling.
    pub(crate) fn tunnel(address: IpAddr, source: IpAddr) -> NewServer {
        NewServer {
            forwarding: TUNNEL,
            tunnel_source: Some(source),
            ..NewServer::nat(address, 0)
        }
    }

    pub(crate) fn wrapping(self, bits: u8, port: u16) -> NewServer {
        NewServer {
            wrapping: (bits, port),
            ..self
        }
    }

    pub(crate) fn mtu(self, mtu: u16) -> NewServer {
        NewServer { mtu, ..self }
    }

    pub(crate) fn side(self, side: Side) -> NewServer {
        NewServer { side, ..self }
    }
}

/// A plane with a table, and the account of what was sent.
pub(crate) struct Bench<'a> {
    pub(crate) plane: &'a mut Plane,
    name: String,
    sent: Sender<Sent>,
    packets: u64,
    next_server: u32,
    next_service: u32,
    next_slot: u32,
    next_cursor: u32,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(name: String, plane: &'a mut Plane, sent: Sender<Sent>) -> Bench<'a> {
        plane.reset();
        Bench {
            plane,
            name,
            sent,
            packets: 0,
            // No server has index 0.
            next_server: 1,
            next_service: 1,
            next_slot: 3,
            next_cursor: 1,
        }
    }

    /// Every packet has exactly one verdict.
    pub(crate) fn finish(self) {
        let sum: u64 = self.plane.verdicts().iter().sum();
        assert_eq!(
            sum, self.packets,
            "{}: verdicts add up to the packets sent",
            self.name
        );
    }

    /// Names what is being done, for the text of a failure.
    pub(crate) fn rename(&mut self, name: String) {
        self.name = name;
    }

    /// Frames sent so far.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }

    /// Index of an interface.
    pub(crate) fn interface(&self, side: Side) -> u32 {
        match side {
            Side::Front => self.plane.front,
            Side::Back => self.plane.back,
        }
    }

    /// Enters a server into the table; returns its index.
    pub(crate) fn server(&mut self, new: NewServer) -> u32 {
        let index = self.next_server;
        self.next_server += 1;
        let server = self.line_of(index, &new);
        self.plane.set_server(index, server);
        index
    }

    /// The line of a server.
    pub(crate) fn line_of(&self, index: u32, new: &NewServer) -> Server {
        let outer_ipv6 = new.forwarding == TUNNEL && new.address.is_ipv6();
        Server {
            address: leading(new.address),
            tunnel_source: new.tunnel_source.map_or([0; 16], leading),
            destination_mac: server_mac(index),
            mtu: new.mtu,
            source_mac: BACK_MAC,
            port: new.port.to_be_bytes(),
            interface: self.interface(new.side),
            service: 1,
            weight: 1,
            forwarding: new.forwarding,
            flags: IN_SERVICE
                | REACHABLE
                | new.wrapping.0
                | if outer_ipv6 {
                    caribe_packet::server::OUTER_IPV6
                } else {
                    0
                },
            tunnel_port: new.wrapping.1.to_be_bytes(),
        }
    }

    /// Takes a server out of service.
    pub(crate) fn remove_server(&mut self, index: u32, new: &NewServer) {
        let line = self.line_of(index, new);
        let flags = line.flags & !IN_SERVICE;
        self.plane.set_server(index, Server { flags, ..line });
    }

    /// Gives a server weight 0.
    pub(crate) fn quiesce(&mut self, index: u32, new: &NewServer) {
        let line = self.line_of(index, new);
        self.plane.set_server(index, Server { weight: 0, ..line });
    }

    /// Enters a service that rotates through servers; returns its cursor.
    pub(crate) fn rotating(&mut self, vip: (IpAddr, u16), protocol: u8, servers: &[u32]) -> u32 {
        self.rotating_from(vip, protocol, servers, 0)
    }

    /// As [`Bench::rotating`], with slots before the cycle that are gone through once.
    pub(crate) fn rotating_from(
        &mut self,
        vip: (IpAddr, u16),
        protocol: u8,
        servers: &[u32],
        cycle_start: u32,
    ) -> u32 {
        let cursor = self.next_cursor;
        self.next_cursor += 1;
        let slots: Vec<_> = servers.iter().map(|server| (*server, 1)).collect();
        self.service(
            vip,
            protocol,
            (Choice::Rotate, 0),
            &slots,
            (cycle_start, cursor),
        );
        cursor
    }

    /// As [`Bench::rotating`], with how many slots further the next one of another server is.
    pub(crate) fn turning(&mut self, vip: (IpAddr, u16), protocol: u8, slots: &[(u32, u32)]) {
        let cursor = self.next_cursor;
        self.next_cursor += 1;
        self.service(vip, protocol, (Choice::Rotate, 0), slots, (0, cursor));
    }

    /// Enters a service that takes the least loaded of servers, given with their weights.
    pub(crate) fn least(&mut self, vip: (IpAddr, u16), protocol: u8, servers: &[(u32, u32)]) {
        self.choosing(vip, protocol, Choice::Overhead, servers);
    }

    /// Enters a service that chooses among servers, given with their weights.
    pub(crate) fn choosing(
        &mut self,
        vip: (IpAddr, u16),
        protocol: u8,
        choice: Choice,
        servers: &[(u32, u32)],
    ) {
        self.service(vip, protocol, (choice, 0), servers, (0, 0));
    }

    /// Enters a TCP service whose slots are the table of a hash.
    pub(crate) fn hashing(
        &mut self,
        vip: (IpAddr, u16),
        choice: Choice,
        flags: u8,
        slots: &[(u32, u32)],
    ) {
        self.service(vip, 6, (choice, flags), slots, (0, 0));
    }

    fn service(
        &mut self,
        (address, port): (IpAddr, u16),
        protocol: u8,
        (choice, flags): (Choice, u8),
        slots: &[(u32, u32)],
        (cycle_start, cursor): (u32, u32),
    ) {
        let base = self.next_slot;
        for (server, weight) in slots {
            self.plane.set_slot(
                self.next_slot,
                Slot {
                    server: *server,
                    weight: *weight,
                },
            );
            self.next_slot += 1;
        }
        let id = self.next_service;
        self.next_service += 1;
        let length = u32::try_from(slots.len()).expect("a short run");
        let service = Service {
            id,
            base,
            length,
            cycle_start,
            cursor,
            choice: choice as u8,
            scheduler: 0,
            flags,
            padding: 0,
        };
        self.plane.set_service(address, port, protocol, service);
    }

    /// Sends a frame and asserts what becomes of it: action, verdict, bytes, checksums, counters.
    pub(crate) fn expect(&mut self, side: Side, frame: &Frame, expected: Expected) {
        self.expect_bytes(side, &frame.bytes(), expected);
    }

    /// As [`Bench::expect`], for frames that are no proper ones.
    pub(crate) fn expect_bytes(&mut self, side: Side, input: &[u8], expected: Expected) {
        let is_sound = expected.frame().is_none_or(carries_right_checksums);
        let (verdict, action, output) = self.run(side, 0, input, is_sound);
        let wanted = match expected.frame() {
            Some(frame) => with_identification_of(frame, &output).bytes(),
            None => input.to_vec(),
        };
        let mut complaints = Vec::new();
        if verdict != expected.verdict() {
            complaints.push(format!(
                "verdict {} where {} was expected",
                verdict.name(),
                expected.verdict().name()
            ));
        }
        if action != expected.action() {
            complaints.push(format!(
                "action {action:?} where {:?} was expected",
                expected.action()
            ));
        }
        if output != wanted {
            complaints.push("the frame differs".to_owned());
        } else if expected.frame().is_some_and(carries_right_checksums)
            && let Err(error) = checksums::verify(&output)
        {
            complaints.push(error);
        }
        assert!(
            complaints.is_empty(),
            "{}: {}\n  sent in by the {side:?}\n{}  {}\n  came out\n{}",
            self.name,
            complaints.join("; "),
            describe(input),
            scapy(input),
            compare(&wanted, &output),
        );
    }

    /// Sends a frame; returns what became of it. Exactly one counter must have moved, by one.
    pub(crate) fn send(
        &mut self,
        side: Side,
        metadata: usize,
        input: &[u8],
    ) -> (Verdict, Action, Vec<u8>) {
        self.run(side, metadata, input, true)
    }

    fn run(
        &mut self,
        side: Side,
        metadata: usize,
        input: &[u8],
        is_sound: bool,
    ) -> (Verdict, Action, Vec<u8>) {
        let interface = self.interface(side);
        let before = self.plane.verdicts();
        let ran = self.plane.run("director", interface, metadata, input);
        let after = self.plane.verdicts();
        self.packets += 1;
        let moved: Vec<_> = (0..after.len())
            .filter(|at| after[*at] != before[*at])
            .collect();
        let verdict = match moved[..] {
            [at] if after[at] == before[at] + 1 => Verdict::ALL.get(at).copied(),
            _ => None,
        };
        let verdict = verdict.unwrap_or_else(|| {
            panic!(
                "{}: not one verdict counted once, but counters {moved:?} moved\n{}",
                self.name,
                describe(input)
            )
        });
        let emitted = matches!(ran.action, Action::Transmit | Action::Redirect);
        let note = Sent {
            case: self.name.clone(),
            verdict,
            emitted: emitted.then(|| ran.frame.clone()),
            is_sound,
        };
        self.sent
            .send(note)
            .expect("the receiver lives until all cases have run");
        (verdict, ran.action, ran.frame)
    }

    /// Runs the decapsulating program on a frame.
    pub(crate) fn decapsulate(&mut self, input: &[u8]) -> (Action, Vec<u8>) {
        let interface = self.interface(Side::Front);
        let ran = self.plane.run("decapsulate", interface, 0, input);
        (ran.action, ran.frame)
    }

    /// The one connection that is in the table.
    pub(crate) fn only_entry(&self) -> Entry {
        match self.plane.entries()[..] {
            [entry] => entry,
            ref entries => panic!("{}: not one connection but {entries:#?}", self.name),
        }
    }

    /// Asserts active and inactive connections of a server.
    pub(crate) fn expect_load(&self, server: u32, active: u32, inactive: u32) {
        let load = self.plane.load_of(server);
        assert_eq!(
            (load.active(), load.inactive()),
            (active, inactive),
            "{}: (active, inactive) of server {server}",
            self.name
        );
    }
}

/// An outer IPv4 header without DF has an arbitrary identification, and GUE an outer source port
/// that is arbitrary in its range: those that came out are right. Everything else stays as it was
/// expected.
fn with_identification_of(frame: &Frame, output: &[u8]) -> Frame {
    let mut frame = frame.clone();
    let packet = &mut frame.packet;
    let wrapped = matches!(packet.body, Body::Inner(_) | Body::Gue(_) | Body::Gre(..));
    if let Some(&[high, low]) = output.get(18..20)
        && wrapped
        && packet.source.is_ipv4()
        && !packet.do_not_fragment
    {
        packet.id = u16::from_be_bytes([high, low]);
    }
    let at = 14 + packet.header_length();
    if let (Body::Gue(gue), Some(&[high, low])) = (&mut packet.body, output.get(at..at + 2)) {
        let port = u16::from_be_bytes([high, low]);
        if (32_768..=60_999).contains(&port) {
            gue.source = port;
        }
    }
    frame
}

/// True for a frame that was built without a deliberate error.
fn carries_right_checksums(frame: &Frame) -> bool {
    fn right(packet: &Packet) -> bool {
        packet.checksum_error == 0
            && match &packet.body {
                Body::Tcp(tcp) => tcp.checksum_error == 0,
                Body::Udp(udp) => udp.checksum_error == 0,
                Body::Sctp(sctp) => sctp.checksum_error == 0,
                Body::Inner(inner) | Body::Gre(_, inner) => right(inner),
                Body::Gue(gue) => right(&gue.inner),
                Body::Icmp { .. } => true,
                // A piece of a packet: its checksum is of the whole.
                Body::Raw(..) => false,
            }
    }
    right(&frame.packet)
}
