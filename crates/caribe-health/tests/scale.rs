//! The monitors' thread with many servers at a time. `cargo xtask bench monitors` measures how
//! many there may be; here bounds are generous, and what must hold on any machine is shown.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use caribe_health::probe::tcp::TcpCheck;
use caribe_health::probe::{Check, Code, Target};
use caribe_health::{
    Clock, Initial, Limits, MonitorName, MonitorsHandle, News, Presumption, Report, ServerId,
    Settings, Timing, spawn,
};
use caribe_lab::wait::{Deadline, pause, until_true};
use caribe_model::{Protocol, ServerKey, ServiceKey};
use socket2::{Domain, Socket, Type};
use tokio::sync::mpsc::Receiver;

/// Watches a server as one of service number `service`: the same server may be in many services.
fn watch(handle: &MonitorsHandle, service: u16, target: SocketAddr, interval: Duration) {
    let id = ServerId {
        service: ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            port: service,
        },
        server: ServerKey {
            address: target.ip(),
            port: target.port(),
        },
    };
    let settings = Settings {
        name: MonitorName::from("tcp"),
        check: Arc::new(Check::Tcp(TcpCheck { orderly: true })),
        target: Target::new(target),
        timing: Timing {
            interval,
            limit: interval,
            rise: 1,
            fall: 1,
            fast_interval: None,
            jitter: 0,
            initial: Initial::Checking,
        },
        advises: false,
    };
    handle.start(id, Arc::new(settings), Presumption::Unknown);
}

/// A server that takes every connection and counts them.
struct Answering {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Answering {
    fn start() -> Answering {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (taken, ends) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let (count, end) = (Arc::clone(&taken), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if AtomicBool::load(&end, Ordering::Acquire) {
                    return;
                }
                stream.expect("a connection");
                count.fetch_add(1, Ordering::AcqRel);
            }
        });
        Answering {
            address,
            taken,
            ends,
            thread: Some(thread),
        }
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // Wakes the thread.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server did not break down");
        }
    }
}

/// A server whose queue is full: the kernel ignores every SYN.
struct Hanging {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl Hanging {
    fn start() -> Hanging {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        listener.bind(&any.into()).expect("a free port");
        listener.listen(0).expect("listens");
        let address = listener.local_addr().expect("its address");
        let address = address.as_socket().expect("of IPv4");
        // A queue of length 0 holds one connection; one more makes sure.
        let queued = (0..2).map(|_| {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            client.set_nonblocking(true).expect("does not block");
            // It is under way, or in the queue.
            let _ = client.connect(&address.into());
            client
        });
        Hanging {
            address,
            _queued: queued.collect(),
            _listener: listener,
        }
    }

    /// Sockets that are trying to connect to it, those that fill its queue excluded; each is told
    /// by its own port.
    fn trying(&self) -> usize {
        const SYN_SENT: &str = "02";
        let port = format!(":{:04X}", self.address.port());
        let text = fs::read_to_string("/proc/net/tcp").expect("the kernel's sockets");
        let own = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (local, remote) = (words.next()?, words.next()?);
            let is_trying = remote.ends_with(&port) && words.next()? == SYN_SENT;
            is_trying.then_some(local)
        });
        // A walk over the kernel's list may meet a socket twice.
        own.collect::<BTreeSet<_>>().len().saturating_sub(1)
    }
}

/// Verdicts that have come since the last call: good ones, and how bad ones failed.
fn verdicts(reports: &mut Receiver<Report>) -> (usize, Vec<Code>) {
    let (mut good, mut bad) = (0, Vec::new());
    while let Ok(report) = reports.try_recv() {
        match report.news {
            News::Verdict { passed: true, .. } => good += 1,
            News::Verdict { finding, .. } => bad.push(finding.code),
            News::Reading(reading) => panic!("nobody was asked: {reading:?}"),
        }
    }
    (good, bad)
}

#[test]
fn two_thousand_servers_are_checked_every_second() {
    const SERVERS: u16 = 2000;
    const WINDOW: Duration = Duration::from_secs(3);
    let server = Answering::start();
    let (handle, mut reports) = spawn(Clock::start(), Limits::default(), 1).expect("a thread");
    for service in 1..=SERVERS {
        watch(&handle, service, server.address, Duration::from_secs(1));
    }
    let mut good = 0;
    until_true("a verdict on each", Duration::from_secs(20), || {
        let (more, bad) = verdicts(&mut reports);
        assert_eq!(bad, [], "the server answers");
        good += more;
        good == usize::from(SERVERS)
    })
    .expect("verdicts");
    let before = server.taken();
    let window = Deadline::after(WINDOW);
    pause(WINDOW);
    let rate = (server.taken() - before) as f64 / window.elapsed().as_secs_f64();
    // A debug build on a busy machine, whose server may be behind; a bench holds us to more.
    let wanted = f64::from(SERVERS);
    assert!(
        (wanted * 0.5..=wanted * 1.5).contains(&rate),
        "{rate:.0} checks a second, {wanted} are wanted"
    );
    assert_eq!(verdicts(&mut reports), (0, vec![]), "nothing changed");
}

#[test]
fn servers_that_hang_cost_no_more_sockets_than_allowed_and_trouble_nobody() {
    const MOST: usize = 100;
    const HANGING: u16 = 60;
    const GOOD: u16 = 100;
    let (good, hanging) = (Answering::start(), Hanging::start());
    let limits = Limits {
        probes_in_flight: MOST,
        ..Limits::default()
    };
    let (handle, mut reports) = spawn(Clock::start(), limits, 1).expect("a thread");
    for service in 1..=HANGING {
        watch(&handle, service, hanging.address, Duration::from_secs(2));
    }
    let interval = Duration::from_millis(200);
    for service in 1..=GOOD {
        watch(&handle, service, good.address, interval);
    }
    let window = Deadline::after(Duration::from_secs(5));
    let mut most = 0;
    while !window.passed() {
        most = most.max(hanging.trying());
        pause(Duration::from_millis(20));
    }
    assert!(most >= usize::from(HANGING), "only {most} hang at a time");
    let wanted = f64::from(GOOD) * window.elapsed().as_secs_f64() / interval.as_secs_f64();
    let share = good.taken() as f64 / wanted;
    assert!(share > 0.5, "only {share:.2} of the good checks were done");
    let (passed, failed) = verdicts(&mut reports);
    assert_eq!(passed, usize::from(GOOD));
    assert_eq!(failed, vec![Code::L4Timeout; usize::from(HANGING)]);

    // More than there may be sockets: the others wait for their turn.
    for service in 1..=HANGING * 5 {
        watch(
            &handle,
            HANGING + service,
            hanging.address,
            Duration::from_secs(2),
        );
    }
    let window = Deadline::after(Duration::from_secs(3));
    let mut most = 0;
    while !window.passed() {
        most = most.max(hanging.trying());
        pause(Duration::from_millis(20));
    }
    assert!(most <= MOST, "{most} sockets, {MOST} are allowed");
    assert!(most > usize::from(HANGING), "only {most} hang at a time");
}
