//! What is not balanced passes, while the director balances.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use caribe_lab::topology::{DIRECTOR, FIRST_SERVER, inside_v4, inside_v6, lan_v4, lan_v6};
use caribe_lab::{Curl, Host, UdpClient, UdpEcho, Wrk};

use crate::bed::Bed;
use crate::lvs_cf::{Balanced, LvsCf};

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn what_is_not_balanced_passes() {
    let services: Vec<Balanced> = Balanced::every();
    let file = LvsCf::rr(&services);
    let bed = Bed::start("passing", &file);
    let (client, director) = (&bed.net.client, &bed.net.director);

    // As sshd does: on the director's own addresses, and on VIPs as well.
    let own = [IpAddr::from(lan_v4(DIRECTOR)), lan_v6(DIRECTOR).into()];
    let vips = [services[0].vip(), services[1].vip()];
    let places: Vec<SocketAddr> = own
        .into_iter()
        .chain(vips)
        .map(|address| SocketAddr::new(address, 22))
        .collect();
    let shells: Vec<Shell> = places
        .iter()
        .map(|place| Shell::start(director, *place))
        .collect();
    let udp = UdpEcho::start(director, &[SocketAddr::new(own[0], 53)]).expect("a UDP echo");

    // The director is also a router, for what goes to real servers by their own addresses. Before
    // the load: an answer that carries the ports of one of its NAT connections would be taken for
    // that one's, as by IPVS.
    for (destination, gateway) in [
        ("10.2.0.0/24", IpAddr::from(lan_v4(DIRECTOR))),
        ("fd00:2::/64", lan_v6(DIRECTOR).into()),
    ] {
        let destination = destination.parse().expect("a network");
        client.add_route(destination, gateway).expect("a route");
    }
    for address in [
        IpAddr::from(inside_v4(FIRST_SERVER)),
        inside_v6(FIRST_SERVER).into(),
    ] {
        let url = format!("http://{}/who", SocketAddr::new(address, 8080));
        let answer = Curl::on(client).get(&url).expect("an answer");
        assert!(answer.starts_with("web1 "), "{answer}");
    }

    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let wrk = Wrk::new(8).connection_per_request();
            wrk.run(client, &services[0].url(), Duration::from_secs(4))
                .expect("wrk runs")
        });
        let mut sessions: Vec<Session> = places
            .iter()
            .map(|place| Session::open(client, *place))
            .collect();
        for round in 0..20 {
            for session in &mut sessions {
                session.say(&format!("round {round}"));
            }
        }
        let question = UdpClient::connect(client, SocketAddr::new(own[0], 53)).expect("a socket");
        question.exchange(b"a question").expect("an answer");
        for service in &services {
            client
                .ping(service.vip())
                .unwrap_or_else(|error| panic!("{service}: {error}"));
        }
        for address in own {
            client.ping(address).expect("the director answers");
        }
        drop(sessions);
        let report = load.join().expect("wrk ends");
        assert!(report.requests > 100, "{report:?}");
        assert_eq!(report.failures(), 0, "{report:?}");
    });
    drop((shells, udp));

    // A port of a VIP that is no service and where nothing listens: the kernel refuses it.
    let nothing = SocketAddr::new(vips[0], 81);
    let error = client
        .run(|| TcpStream::connect_timeout(&nothing, PATIENCE))
        .expect("the client can be entered")
        .expect_err("nothing listens");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);

    let verdicts = bed.director.status().dataplane.verdicts;
    for passed in ["passed_not_ours", "passed_protocol", "passed_not_ip"] {
        assert!(verdicts[passed] > 0, "{passed}: {verdicts:?}");
    }
    for (name, packets) in &verdicts {
        let lost = name.starts_with("dropped_") || name.starts_with("answered_");
        assert!(!lost || *packets == 0, "{name}: {verdicts:?}");
    }
    bed.leave();
}

/// A server that says each line back, one client after the other, until it is dropped.
struct Shell {
    place: SocketAddr,
    host: Host,
    thread: Option<thread::JoinHandle<()>>,
}

/// What ends a [`Shell`].
const LOGOUT: &str = "logout\n";

impl Shell {
    fn start(host: &Host, place: SocketAddr) -> Shell {
        let listener = host.run(|| TcpListener::bind(place)).expect("the host");
        let listener = listener.expect("the address is the director's");
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
                let reading = stream.try_clone().expect("a socket");
                let mut line = String::new();
                let mut reading = BufReader::new(reading);
                while reading.read_line(&mut line).expect("a line") > 0 {
                    if line == LOGOUT {
                        return;
                    }
                    stream
                        .write_all(line.as_bytes())
                        .expect("the client listens");
                    line.clear();
                }
            }
        });
        Shell {
            place,
            host: host.clone(),
            thread: Some(thread),
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let place = self.place;
        let told = self
            .host
            .run(|| TcpStream::connect_timeout(&place, PATIENCE));
        if let Ok(Ok(mut stream)) = told {
            let told = stream.write_all(LOGOUT.as_bytes());
            if let (Ok(()), Some(thread)) = (told, self.thread.take()) {
                thread.join().expect("it ends well");
            }
        }
    }
}

/// A client of a [`Shell`].
struct Session {
    stream: BufReader<TcpStream>,
}

impl Session {
    fn open(client: &Host, place: SocketAddr) -> Session {
        let stream = client
            .run(|| TcpStream::connect_timeout(&place, PATIENCE))
            .expect("the client can be entered")
            .unwrap_or_else(|error| panic!("{place}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Session {
            stream: BufReader::new(stream),
        }
    }

    fn say(&mut self, text: &str) {
        let line = format!("{text}\n");
        let stream = self.stream.get_mut();
        stream.write_all(line.as_bytes()).expect("it listens");
        let mut answer = String::new();
        self.stream.read_line(&mut answer).expect("an answer");
        assert_eq!(answer, line);
    }
}
