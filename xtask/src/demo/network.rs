//! The demo's network: one client, one director, and three real servers, each reachable by every
//! forwarding method.

use std::path::Path;

use anyhow::{Context, Result};
use caribe_lab::topology::TwoArmed;
use caribe_lab::{Host, Lab, Nginx};

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
        let TwoArmed {
            client,
            director,
            servers: hosts,
            lab,
            ..
        } = TwoArmed::build(Lab::new("demo")?, SERVERS, 1500)?;
        let mut servers = Vec::new();
        for host in hosts {
            for method in [Method::Direct, Method::Tunnel] {
                prepare(caribe, &lab, &host, method)?;
            }
            let mut server = Server { host, nginx: None };
            server.start()?;
            servers.push(server);
        }
        Ok(Network {
            client,
            director,
            servers,
            lab,
        })
    }
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
