//! What the demo shows, in order.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use caribe_lab::wait;

use super::configuration::{Service, TIMEOUT, lvs_cf};
use super::director::Director;
use super::network::Network;
use super::tally;
use crate::report::{Report, Stopwatch};

/// How long something may take that should be there in a second or two.
const SOON: Duration = Duration::from_secs(15);

/// Tells the whole story; true when everything went as it should.
pub(super) fn tell(caribe: &Path, stay: bool) -> Result<bool> {
    let watch = Stopwatch::start();
    let mut report = Report::default();
    let mut stage = Stage::set(caribe, &mut report)?;
    stage.spread(&mut report);
    stage.lose_and_regain_a_server(&mut report);
    stage.reload(&mut report);
    if stay {
        stage.wait_for_the_user(caribe)?;
    }
    stage.leave(&mut report);
    Ok(report.print(watch.elapsed()))
}

/// What the story plays on. The director is dropped before its network.
struct Stage {
    director: Director,
    network: Network,
}

impl Stage {
    /// Builds the network, starts the director and waits until everything serves.
    fn set(caribe: &Path, report: &mut Report) -> Result<Stage> {
        let mut stage = None;
        report.check(
            "A client, a director and three real servers, in namespaces of their own",
            || {
                let network = Network::build(caribe)?;
                let Network { lab, director, .. } = &network;
                let director = Director::start(caribe, lab, director, &lvs_cf(1, 1))?;
                stage = Some(Stage { director, network });
                Ok(String::new())
            },
        );
        let Some(mut stage) = stage else {
            report.print(Duration::ZERO);
            bail!("the demo could not be set up");
        };
        report.check(
            "All servers pass their first check and enter the table",
            || {
                stage.director.wait_until_all_serve(SOON)?;
                print!("{}", stage.director.listing()?);
                Ok(String::new())
            },
        );
        Ok(stage)
    }

    /// Sends requests to every service; with equal weights each server gets as many.
    fn spread(&mut self, report: &mut Report) {
        report.check("30 requests to each service spread evenly", || {
            for service in Service::all() {
                let burst = tally::ask(&self.network.client, &service, 30)?;
                tally::expect(
                    &service,
                    &burst,
                    &[("web1", 10), ("web2", 10), ("web3", 10)],
                )?;
            }
            Ok(String::new())
        });
    }

    /// Kills the web server of web2, shows that the traffic moves, and brings it back.
    fn lose_and_regain_a_server(&mut self, report: &mut Report) {
        report.check("web2 dies and leaves the table in time", || {
            self.network.servers[1].kill()?;
            // One interval until the next check, and a second on top.
            let limit = Duration::from_secs(TIMEOUT + 1);
            let took = self.director.wait_until_serves("web2", false, limit)?;
            Ok(format!("after {:.1} s", took.as_secs_f64()))
        });
        report.check("Without web2, its share goes to the others", || {
            for service in Service::all() {
                let burst = tally::ask(&self.network.client, &service, 20)?;
                tally::expect(&service, &burst, &[("web1", 10), ("web3", 10)])?;
            }
            Ok(String::new())
        });
        report.check("web2 comes back and takes its share again", || {
            self.network.servers[1].start()?;
            let took = self.director.wait_until_serves("web2", true, SOON)?;
            for service in Service::all() {
                let burst = tally::ask(&self.network.client, &service, 30)?;
                tally::expect(
                    &service,
                    &burst,
                    &[("web1", 10), ("web2", 10), ("web3", 10)],
                )?;
            }
            Ok(format!("after {:.1} s", took.as_secs_f64()))
        });
    }

    /// Gives web1 three times the weight, by a changed file and SIGHUP.
    fn reload(&mut self, report: &mut Report) {
        report.check("A reload gives web1 weight 3", || {
            self.director.reload(&lvs_cf(2, 3), 3)?;
            for service in Service::all() {
                let burst = tally::ask(&self.network.client, &service, 50)?;
                tally::expect(
                    &service,
                    &burst,
                    &[("web1", 30), ("web2", 10), ("web3", 10)],
                )?;
            }
            print!("{}", self.director.status()?);
            Ok(String::new())
        });
    }

    /// Prints what to try, and waits until the watcher ends it all.
    fn wait_for_the_user(&self, caribe: &Path) -> Result<()> {
        let caribe = caribe.display();
        let runtime = self.director.runtime.display();
        let director = self.network.director.namespace();
        let client = self.network.client.namespace();
        println!("\nThe lab stays up until Ctrl-C. In another terminal, as root:\n");
        println!("  {caribe} status --runtime-dir {runtime}");
        println!("  {caribe} ipvsadm -Ln --runtime-dir {runtime}");
        for service in Service::all() {
            println!("  ip netns exec {client} curl -s {}", service.url());
        }
        println!("  ip netns exec {director} ip address show dev eth0");
        println!("  $EDITOR {}", self.director.configuration.display());
        println!("  kill -HUP {}", self.director.pid());
        for server in &self.network.servers {
            println!("  ip netns exec {} bash", server.host.namespace());
        }
        loop {
            wait::pause(Duration::from_secs(3600));
        }
    }

    /// Stops the director and takes everything down.
    fn leave(self, report: &mut Report) {
        let Stage { director, network } = self;
        report.check("A clean stop leaves no VIP on the director", || {
            director.stop()?;
            let addresses = network
                .director
                .command("ip")
                .args(["-o", "address", "show", "dev", "eth0"])
                .run()?;
            for service in Service::all() {
                if addresses.contains(&format!(" {}/", service.vip)) {
                    bail!("{} is still there:\n{addresses}", service.vip);
                }
            }
            Ok(String::new())
        });
        report.check("The lab is removed", || {
            drop(network.servers);
            network.lab.remove()?;
            Ok(String::new())
        });
    }
}
