//! A segment with a real server to be and a peer that plays director and client at once.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use caribe_lab::{Host, Lab, Port, Switch};
use caribe_network::Network;
use caribe_real_server::RealServerError;
use caribe_real_server::cli::{Args, run};
use clap::Parser;

pub(crate) const VIP4: &str = "10.1.0.80";
pub(crate) const VIP6: &str = "fd00:1::80";
pub(crate) const REAL4: &str = "10.1.0.2";
pub(crate) const REAL6: &str = "fd00:1::2";
pub(crate) const PEER4: &str = "10.1.0.1";
pub(crate) const PEER6: &str = "fd00:1::1";

pub(crate) struct Lan {
    pub(crate) real: Host,
    pub(crate) peer: Host,
    _switch: Switch,
    pins: PathBuf,
    lab: Lab,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: u8,
    pub(crate) text: String,
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

impl Lan {
    pub(crate) fn new(name: &str) -> Self {
        let mut lab = Lab::new(name).expect("a lab; these tests need root");
        let switch = lab.switch("lan").expect("a switch");
        let mut host = |name: &str, v4: &str, v6: &str| {
            let host = lab.host(name).expect("a host");
            let port = Port::new("eth0")
                .address(format!("{v4}/24"))
                .address(format!("{v6}/64"));
            host.connect(&switch, port).expect("connected");
            host
        };
        let real = host("real", REAL4, REAL6);
        let peer = host("peer", PEER4, PEER6);
        let pins = lab.pin_directory("real").expect("a pin directory");
        // The command makes it.
        std::fs::remove_dir(&pins).expect("it is empty");
        Lan {
            real,
            peer,
            _switch: switch,
            pins,
            lab,
        }
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.lab.directory().join("run/real-server.json")
    }

    pub(crate) fn pins(&self) -> &PathBuf {
        &self.pins
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.lab.directory().to_owned()
    }

    /// Runs `caribe real-server ...` on the real server.
    pub(crate) fn command(&self, words: &str) -> Result<Outcome, RealServerError> {
        let mut line = vec!["real-server".to_owned()];
        line.extend(words.split_whitespace().map(str::to_owned));
        let mut default = |option: &str, value: String| {
            if !words.contains(option) {
                line.extend([option.to_owned(), value]);
            }
        };
        default("--state", self.state_file().display().to_string());
        default("--pins", self.pins.display().to_string());
        default(
            "--director-pins",
            self.directory().join("none").display().to_string(),
        );
        let args = Cli::try_parse_from(line)
            .expect("a legal command line")
            .args;
        let ran = self.real.run(move || {
            let mut output = Vec::new();
            run(args, &mut output).map(|code| Outcome {
                code,
                text: String::from_utf8(output).expect("text"),
            })
        });
        ran.expect("inside the namespace")
    }

    /// The same, which must be done and exit with 0.
    pub(crate) fn succeed(&self, words: &str) -> String {
        let outcome = self
            .command(words)
            .unwrap_or_else(|error| panic!("{words}: {error}"));
        assert_eq!(outcome.code, 0, "{words}: {}", outcome.text);
        outcome.text
    }

    /// What must be the same after `down` as before `up`.
    pub(crate) fn picture(&self) -> String {
        let mut picture = self.ip("addr");
        picture += &self.ip("-6 route show table all");
        picture += &self.ip("route show table all");
        for scope in ["all", "eth0", "lo"] {
            for key in ["arp_ignore", "arp_announce", "rp_filter"] {
                picture += &format!("{scope} {key} {}\n", self.sysctl(scope, key));
            }
        }
        let nft = self.real.command("nft").args(["list", "ruleset"]).run();
        picture += &nft.expect("nft is installed");
        let pinned = self.pins.try_exists().expect("the pin directory");
        picture + &format!("pinned {pinned}\n")
    }

    pub(crate) fn ip(&self, words: &str) -> String {
        let ip = self.real.command("ip").args(words.split(' ')).run();
        ip.expect("ip is installed")
    }

    pub(crate) fn sysctl(&self, scope: &str, key: &str) -> String {
        let path = format!("/proc/sys/net/ipv4/conf/{scope}/{key}");
        let text = self.real.run(move || std::fs::read_to_string(path));
        let text = text.expect("inside the namespace").expect("a sysctl");
        text.trim().to_owned()
    }

    pub(crate) fn set_sysctl(&self, scope: &str, key: &str, value: &str) {
        let key = format!("net/ipv4/conf/{scope}/{key}");
        self.real.sysctl(&key, value).expect("set");
    }

    /// Whether anybody on the segment answers the peer's ARP requests or neighbour solicitations
    /// for an address: real ones, sent by the peer's kernel, for at least three seconds.
    pub(crate) fn is_answered(&self, address: &str) -> bool {
        let address: IpAddr = address.parse().expect("an address");
        let answered = self.peer.run(move || {
            runtime().block_on(async move {
                let (network, _changes) = Network::connect().expect("netlink");
                for _ in 0..40 {
                    if network.resolve(address).await.expect("asked").is_some() {
                        return true;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                false
            })
        });
        answered.expect("inside the namespace")
    }

    /// Makes the peer send frames for an address to the real server, as a director does.
    pub(crate) fn direct(&self, vip: &str) {
        let mac = self.real.interface("eth0").expect("eth0").mac;
        let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let words = [
            "neigh",
            "replace",
            vip,
            "lladdr",
            &mac.join(":"),
            "dev",
            "eth0",
        ];
        let ip = self.peer.command("ip").args(words).run();
        ip.expect("a static neighbour");
    }

    /// Sends a megabyte over TCP from the peer to the VIP on the real server and has it back.
    pub(crate) fn converse(&self, vip: &str) {
        let vip: IpAddr = vip.parse().expect("an address");
        let port = 8000;
        let listener = self
            .real
            .run(move || TcpListener::bind(SocketAddr::new(vip, port)))
            .expect("inside the namespace")
            .expect("the VIP is an address of the real server");
        let server = std::thread::spawn(move || {
            let (mut stream, client) = listener.accept().expect("a client");
            let mut body = Vec::new();
            stream.read_to_end(&mut body).expect("the body");
            stream.write_all(&body).expect("the echo");
            client.ip()
        });
        let client = self
            .peer
            .run(move || {
                let limit = Duration::from_secs(10);
                TcpStream::connect_timeout(&SocketAddr::new(vip, port), limit)
            })
            .expect("inside the namespace");
        let mut client = client.expect("a connection through the VIP");
        let own = client.local_addr().expect("an address").ip();
        let body: Vec<u8> = (0..1_000_000_u32).map(|i| (i * 7 % 251) as u8).collect();
        client.write_all(&body).expect("sent");
        client
            .shutdown(std::net::Shutdown::Write)
            .expect("the end of the body");
        let mut echo = Vec::new();
        client.read_to_end(&mut echo).expect("the echo");
        assert!(echo == body, "the body came back changed");
        assert_eq!(
            server.join().expect("the server"),
            own,
            "the client's own address"
        );
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
