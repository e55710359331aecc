//! The demo's network: one client, one director, and three real servers, each reachable by every
//! forwarding method.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use caribe_lab::topology::{CLIENT, DIRECTOR, FIRST_SERVER, inside_v4, inside_v6, lan_v4, lan_v6};
use caribe_lab::{Host, Lab, Nginx, Port};
use ipnet::IpNet;

use super::configuration::{Method, NAT_PORT, SERVERS, VIP_PORT};

/// Everything that runs. The order counts when it is dropped: the lab last.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) client: Host,
    pub(super) director: Host,
    pub(super) servers: Vec<Server>,
    pub(super) lab: Lab,
}

/// A real server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) host: Host,
    /// Its web server; none while it is "dead".
    nginx: Option<Nginx>,
}

impl Server {
    /// Starts its web server.
    pub(super) fn start(&mut self) -> Result<()> {
        self.nginx = Some(Nginx::start(&self.host, &[VIP_PORT, NAT_PORT], None)?);
        Ok(())
    }

    /// Kills its web server, as a crash would.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(mut nginx) = self.nginx.take() {
            nginx.process().kill()?;
        }
        Ok(())
    }
}

impl Network {
    /// Lays everything out and prepares the real servers with the real `caribe real-server`.
    pub(super) fn build(caribe: &Path) -> Result<Network> {
        let mut lab = Lab::new("demo")?;
        let lan = lab.switch("lan")?;
        let inside = lab.switch("inside")?;
        let on_lan = |number: u8| {
            Port::new("eth0")
                .address(format!("{}/24", lan_v4(number)))
                .address(format!("{}/64", lan_v6(number)))
        };
        let on_inside = |number: u8| {
            Port::new("eth1")
                .address(format!("{}/24", inside_v4(number)))
                .address(format!("{}/64", inside_v6(number)))
        };
        let client = lab.host("client")?;
        client.connect(&lan, on_lan(CLIENT))?;
        let director = lab.host("director")?;
        director.connect(&lan, on_lan(DIRECTOR))?;
        director.connect(&inside, on_inside(DIRECTOR))?;
        director.sysctl("net/ipv4/ip_forward", "1")?;
        director.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        let mut servers = Vec::new();
        for index in 0..SERVERS {
            let host = lab.host(&format!("web{}", index + 1))?;
            host.connect(&lan, on_lan(FIRST_SERVER + index))?;
            host.connect(&inside, on_inside(FIRST_SERVER + index))?;
            answer_nat_through_director(&host)?;
            for method in [Method::Direct, Method::Tunnel] {
                prepare(caribe, &lab, &host, method)?;
            }
            let mut server = Server { host, nginx: None };
            server.start()?;
            servers.push(server);
        }
        for server in &servers {
            director.wait_until_pings(lan_of(&server.host)?, Duration::from_secs(5))?;
        }
        Ok(Network {
            client,
            director,
            servers,
            lab,
        })
    }
}

/// Replies from the inside address go by the director, which undoes the translation; all others
/// go to the client straight.
fn answer_nat_through_director(host: &Host) -> Result<()> {
    const TABLE: u8 = 100;
    let ways: [(&str, IpAddr); 2] = [
        ("10.2.0.0/24", inside_v4(DIRECTOR).into()),
        ("fd00:2::/64", inside_v6(DIRECTOR).into()),
    ];
    for (source, gateway) in ways {
        let source: IpNet = source.parse().context("a constant network")?;
        host.add_route_from(source, gateway, TABLE)?;
    }
    Ok(())
}

/// Runs `caribe real-server up` on the host, for the VIPs of one method.
fn prepare(caribe: &Path, lab: &Lab, host: &Host, method: Method) -> Result<()> {
    let mut command = host
        .command(&caribe.to_string_lossy())
        .args(["real-server", "up", "--interface", "eth0"])
        .args(["--method", method.word()])
        .arg("--state")
        .arg(host.file(&format!("{}.json", method.word())))
        .arg("--pins")
        .arg(lab.pin_directory(host.name())?.join(method.word()));
    for vip in method.vips() {
        command = command.args(["--vip", &vip.to_string()]);
    }
    command
        .run()
        .with_context(|| format!("cannot prepare {} for {}", host.name(), method.word()))?;
    Ok(())
}

/// The address on the lan of the server `webN`.
fn lan_of(host: &Host) -> Result<IpAddr> {
    let number: u8 = host
        .name()
        .trim_start_matches("web")
        .parse()
        .with_context(|| format!("{} is not named webN", host.name()))?;
    Ok(lan_v4(FIRST_SERVER + number - 1).into())
}
