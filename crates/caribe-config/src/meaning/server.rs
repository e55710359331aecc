//! What a `server` block amounts to.

use std::num::NonZeroU16;

use caribe_model::{Encapsulation, Forwarding, GueChecksum, Protocol, Thresholds};

use crate::config::RealServer;
use crate::settings::Section;

use super::{Interpreter, forwarding, number};

impl Interpreter<'_, '_> {
    /// `None` when its port was refused.
    pub(super) fn server(
        &mut self,
        section: &Section<'_>,
        service: &Section<'_>,
        method: Forwarding,
        service_port: Option<u16>,
        protocol: Protocol,
    ) -> Option<RealServer> {
        let port = match section.port("port") {
            Some(port) => self.port(section, "port", port, protocol),
            None => service_port,
        };
        let forwarding = forwarding(section, "forward").unwrap_or(method);
        Some(RealServer {
            name: section.name().to_owned(),
            active: section.boolean("active"),
            address: section.address("address")?, // it has a default
            port: port?,
            weight: u32::try_from(section.integer("weight")).ok()?, // its range fits
            forwarding,
            encapsulation: match forwarding {
                Forwarding::Tunnel => self.encapsulation(section, service),
                Forwarding::Nat | Forwarding::Direct => Encapsulation::Ipip,
            },
            thresholds: self.thresholds(section, service),
            monitors: self.monitors(section, service),
        })
    }

    /// The server that serves when too few others can.
    pub(super) fn sorry_server(
        &mut self,
        service: &Section<'_>,
        method: Forwarding,
        service_port: Option<u16>,
        protocol: Protocol,
    ) -> Option<RealServer> {
        let address = service.address("sorry_server")?;
        if address.is_unspecified() {
            return None;
        }
        let port = match service.port("sorry_port") {
            Some(port) => self.port(service, "sorry_port", port, protocol),
            None => service_port,
        };
        let forwarding = forwarding(service, "sorry_forward").unwrap_or(method);
        Some(RealServer {
            active: true,
            address,
            port: port?,
            weight: number(service, "sorry_weight"),
            forwarding,
            encapsulation: match forwarding {
                Forwarding::Tunnel => self.encapsulation(service, service),
                Forwarding::Nat | Forwarding::Direct => Encapsulation::Ipip,
            },
            ..RealServer::new("sorry_server")
        })
    }

    /// IPVS refuses a lower one above the upper one, and 0, no limit, is below all others.
    fn thresholds(&mut self, section: &Section<'_>, service: &Section<'_>) -> Thresholds {
        let upper = number(section, "upper_threshold");
        let lower = number(section, "lower_threshold");
        if let Ok(thresholds) = Thresholds::new(upper, lower) {
            return thresholds;
        }
        let counts = section.boolean("active") && service.boolean("active");
        if counts && section.knows(&["upper_threshold"]) {
            let (what, hint) = match upper {
                0 => (
                    "without an `upper_threshold`".to_owned(),
                    "add `upper_threshold`, or remove it",
                ),
                _ => (
                    format!("over its `upper_threshold` of {upper}"),
                    "write a smaller one, or leave it out: three quarters of the upper one",
                ),
            };
            self.report
                .error(
                    section.span("lower_threshold"),
                    "lower-threshold",
                    format!(
                        "server `{}` has a `lower_threshold` of {lower} {what}",
                        section.name()
                    ),
                )
                .hint(hint);
        }
        Thresholds::NONE
    }

    /// What the server says, else what its service says.
    fn encapsulation(&mut self, section: &Section<'_>, service: &Section<'_>) -> Encapsulation {
        let said_by = |key: &str| match section.get(key) {
            Some(_) => section,
            None => service,
        };
        let counts = section.boolean("active") && service.boolean("active");
        let checksum = said_by("tunnel_checksum").word("tunnel_checksum");
        match said_by("tunnel").word("tunnel") {
            Some("gue") => {
                let port = said_by("tunnel_port").optional_integer("tunnel_port");
                let port = port.and_then(|port| NonZeroU16::new(u16::try_from(port).ok()?));
                let Some(port) = port else {
                    if counts && section.knows(&["tunnel_port"]) && service.knows(&["tunnel_port"])
                    {
                        self.report
                            .error(
                                section.span("tunnel"),
                                "missing-tunnel-port",
                                format!(
                                    "server `{}` is reached by GUE, but there is no \
                                     `tunnel_port`",
                                    section.name()
                                ),
                            )
                            .hint("add the server's UDP port for GUE, e.g. `tunnel_port = 6080`");
                    }
                    return Encapsulation::Ipip; // the file has an error, and is not used
                };
                Encapsulation::Gue {
                    port,
                    checksum: match checksum {
                        Some("full") => GueChecksum::Full,
                        Some("remote") => GueChecksum::Remote,
                        _ => GueChecksum::None,
                    },
                }
            }
            Some("gre") => Encapsulation::Gre {
                checksum: match checksum {
                    Some("remote") => {
                        if counts {
                            self.remote_without_gue(section);
                        }
                        false
                    }
                    Some("full") => true,
                    _ => false,
                },
            },
            _ => Encapsulation::Ipip,
        }
    }

    fn remote_without_gue(&mut self, section: &Section<'_>) {
        self.report
            .error(
                section.span("tunnel_checksum"),
                "remote-checksum",
                "`tunnel_checksum = remote` is for GUE: GRE has `none` and `full`",
            )
            .hint("write `full` or `none`");
    }
}
