//! A network with prepared real servers and a running director, for one test.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use caribe_lab::topology::{CLIENT, TwoArmed, lan_v4, lan_v6};
use caribe_lab::{Host, Lab, Nginx, Payload, UdpEcho};
use nix::fcntl::{Flock, FlockArg};

use crate::director::{CARIBE, Director, SOON};
use crate::lvs_cf::{Balanced, LvsCf, SERVERS};
use crate::traces::{KernelObjects, traces};

/// A client, a director with its daemon, three real servers with their programs. The order of
/// the fields is that of their end.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) director: Director,
    pub(crate) servers: Vec<Server>,
    pub(crate) body: Option<Payload>,
    pub(crate) net: TwoArmed,
    /// Tests are alone on the machine's few cores.
    _alone: Flock<File>,
}

/// A real server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) host: Host,
    pub(crate) nginx: Option<Nginx>,
    _echo: UdpEcho,
}

/// The TCP ports of every real server: that of the VIPs, and that behind NAT.
const PORTS: [u16; 2] = [80, 8080];

impl Bed {
    /// Builds it all, and waits until every server of `file` serves.
    pub(crate) fn start(name: &str, file: &LvsCf) -> Bed {
        Bed::with_body(name, file, 0)
    }

    /// As [`Bed::start`]; every real server has a body of `length` bytes at `/big`.
    pub(crate) fn with_body(name: &str, file: &LvsCf, length: u64) -> Bed {
        let (net, alone) = network(name, 1500);
        Bed::on(net, alone, file, length)
    }

    /// As [`Bed::start`], without waiting for any server to serve.
    pub(crate) fn start_unwell(name: &str, file: &LvsCf) -> Bed {
        Bed::start_unwell_with_body(name, file, 0)
    }

    /// As [`Bed::with_body`], without waiting for any server to serve.
    pub(crate) fn start_unwell_with_body(name: &str, file: &LvsCf, length: u64) -> Bed {
        let (net, alone) = network(name, 1500);
        Bed::built(net, alone, file, length)
    }

    /// As [`Bed::with_body`], on a network that is there.
    pub(crate) fn on(net: TwoArmed, alone: Flock<File>, file: &LvsCf, length: u64) -> Bed {
        let mut bed = Bed::built(net, alone, file, length);
        bed.director.wait_until(None, true, SOON);
        bed
    }

    /// All of it, with a director that answers.
    fn built(net: TwoArmed, alone: Flock<File>, file: &LvsCf, length: u64) -> Bed {
        let body = (length > 0).then(|| {
            let path = net.lab.directory().join("body");
            Payload::create(&path, length).expect("a body")
        });
        let servers = net
            .servers
            .iter()
            .zip(0..)
            .map(|(host, index)| {
                prepare(&net.lab, host, index, file);
                let echoes = echoes(file, index);
                let nginx = Nginx::start(host, &PORTS, body.as_ref()).expect("nginx");
                for page in &file.well {
                    nginx.set_well(page, true).expect("it is told");
                }
                Server {
                    host: host.clone(),
                    nginx: Some(nginx),
                    _echo: UdpEcho::start(host, &echoes).expect("a UDP echo"),
                }
            })
            .collect();
        let director = Director::start(&net.lab, &net.director, &file.to_string());
        Bed {
            director,
            servers,
            body,
            net,
            _alone: alone,
        }
    }

    pub(crate) fn client(&self) -> &Host {
        &self.net.client
    }

    /// Has a server's `/health/NAME` say that it is well, or answer with status 500.
    pub(crate) fn well(&self, index: usize, name: &str, well: bool) {
        let nginx = self.servers[index].nginx.as_ref().expect("nginx runs");
        nginx.set_well(name, well).expect("it is told");
    }

    /// Starts the web server of a real server anew.
    pub(crate) fn revive(&mut self, index: usize) {
        let server = &mut self.servers[index];
        let nginx = Nginx::start(&server.host, &PORTS, self.body.as_ref());
        server.nginx = Some(nginx.expect("nginx"));
    }

    /// Kills the web server of a real server, as a crash would.
    pub(crate) fn crash(&mut self, index: usize) {
        let mut nginx = self.servers[index].nginx.take().expect("nginx runs");
        nginx.process().kill().expect("killed");
    }

    /// Stops the director if it runs, undoes what the real servers were prepared with, takes the
    /// network down, and proves that nothing is left.
    pub(crate) fn leave(mut self) {
        if self.director.is_running() {
            let objects = KernelObjects::of(&self.director.pins);
            assert!(!objects.is_empty(), "a director has programs and maps");
            self.director.stop();
            objects.must_be_gone();
        }
        for server in &self.servers {
            restore(&self.net.lab, &server.host);
        }
        let Bed {
            director,
            servers,
            net,
            ..
        } = self;
        drop((director, servers));
        let id = net.lab.id().to_owned();
        net.lab.remove().expect("the lab is removed");
        let left = traces(&id);
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// The lock that keeps other tests away.
pub(crate) fn alone() -> Flock<File> {
    let own = std::env::current_exe().expect("this program has a path");
    let file = File::open(own).expect("this program can be read");
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .expect("a lock")
}

/// The network of a test, with nothing running on it, and the lock that keeps others away.
pub(crate) fn network(name: &str, mtu: u32) -> (TwoArmed, Flock<File>) {
    let alone = alone();
    let lab = Lab::new(name).expect("a lab");
    let net = TwoArmed::build(lab, SERVERS, mtu).expect("a network");
    (net, alone)
}

/// The client's address, as servers shall see it.
pub(crate) fn client_address(v6: bool) -> IpAddr {
    if v6 {
        lan_v6(CLIENT).into()
    } else {
        lan_v4(CLIENT).into()
    }
}

/// Prepares a real server for the VIPs of all methods. The second one hides its VIPs by
/// nftables, the others by sysctls.
pub(crate) fn prepare(lab: &Lab, host: &Host, index: u8, file: &LvsCf) {
    let arp = if index == 1 { "nftables" } else { "sysctl" };
    for method in ["direct", "tunnel"] {
        let vips = file.vips(method);
        if vips.is_empty() {
            continue;
        }
        let mut command = real_server(lab, host, "up").args([
            "--interface",
            "eth0",
            "--method",
            method,
            "--arp",
            arp,
        ]);
        for vip in vips {
            command = command.args(["--vip", &vip.to_string()]);
        }
        command.run().expect("the real server is prepared");
        real_server(lab, host, "status")
            .run()
            .expect("all of it is in place");
    }
}

/// Undoes [`prepare`]; a server that was not prepared has nothing to undo.
fn restore(lab: &Lab, host: &Host) {
    real_server(lab, host, "down")
        .run()
        .expect("the real server is as it was");
    let lo = host.command("ip").args(["-o", "address", "show"]).run();
    let lo = lo.expect("addresses");
    assert!(!lo.contains("10.1.0.20"), "a VIP is left: {lo}");
    assert!(!lo.contains("fd00:1::20"), "a VIP is left: {lo}");
}

pub(crate) fn real_server(lab: &Lab, host: &Host, verb: &str) -> caribe_lab::Command {
    let pins = lab
        .pin_directory(host.name())
        .expect("a directory for pins");
    host.command(CARIBE)
        .args(["real-server", verb, "--state"])
        .arg(host.file("real-server.json"))
        .arg("--pins")
        .arg(pins.join("decapsulator"))
        .time_limit(Duration::from_secs(20))
}

/// Where a server's UDP echo listens.
fn echoes(file: &LvsCf, index: u8) -> Vec<SocketAddr> {
    let by_udp = file.services().filter(|service: &Balanced| service.udp);
    by_udp
        .map(|service| match service.way.word() {
            "nat" => service.server(index),
            _ => service.place(),
        })
        .collect()
}
