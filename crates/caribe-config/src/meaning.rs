//! Settings to [`Config`]: defaults, what overrides what, names of services to ports.
//!
//! What contradicts itself across several settings is found afterwards, by [`crate::checks`].

mod limits;
mod mark;
mod monitor_block;
mod monitoring;
mod policy;
mod redundancy;
mod server;
mod service;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use caribe_model::{Defence, Forwarding, Policy, Protocol};

use crate::Mode;
use crate::config::{CommandLine, Config, ConfiguredTimeouts, FloatingAddress, VirtualService};
use crate::diagnostic::{Report, shown};
use crate::keys::Place;
use crate::literal::Mask;
use crate::resolver::Resolver;
use crate::settings::Section;
use crate::value::PortValue;

/// A configuration, and the section from which each part of it came.
pub(crate) struct Meaning<'s, 't> {
    pub(crate) config: Config,
    /// For each service of the configuration, in the same order.
    pub(crate) origins: Vec<Origin<'s, 't>>,
    /// For each mark rule of the configuration, in the same order.
    pub(crate) mark_origins: Vec<&'s Section<'t>>,
}

/// Where a service came from.
pub(crate) struct Origin<'s, 't> {
    pub(crate) section: &'s Section<'t>,
    /// For each of its servers, in the same order.
    pub(crate) servers: Vec<&'s Section<'t>>,
}

/// Finds what the settings of a file amount to. Services and servers with a part that was
/// refused are left out; the report has the reason.
pub(crate) fn meaning<'s, 't>(
    settings: &'s Section<'t>,
    resolver: &dyn Resolver,
    report: &mut Report<'_>,
) -> Meaning<'s, 't> {
    Interpreter { resolver, report }.file(settings)
}

/// What the file says for services that do not say it.
struct OfTheFile {
    network: Forwarding,
    policy: Policy,
    secure_tcp: Defence,
    notify: Option<CommandLine>,
    rsh_command: Option<CommandLine>,
}

struct Interpreter<'r, 's> {
    resolver: &'r dyn Resolver,
    report: &'r mut Report<'s>,
}

impl Interpreter<'_, '_> {
    fn file<'s, 't>(&mut self, settings: &'s Section<'t>) -> Meaning<'s, 't> {
        if settings.word("service") == Some("fos") {
            self.report
                .error(
                    settings.span("service"),
                    "fos",
                    "`service = fos` is not supported: Caribe balances virtual services and does \
                     not start and stop programs as Piranha's fos did",
                )
                .hint("use `service = lvs`; for failover of programs use a cluster manager");
        }
        let network = forwarding(settings, "network").unwrap_or(Forwarding::Nat);
        let (policy, secure_tcp) = policy::of_the_file(settings);
        let file = OfTheFile {
            network,
            policy,
            secure_tcp,
            notify: settings.command("notify"),
            rsh_command: settings.command("rsh_command"),
        };
        let (services, origins) = self.services(settings, &file);
        let (marks, mark_origins) = mark::rules(settings);
        let config = Config {
            serial_no: settings.integer("serial_no"),
            network,
            nat_router: self.nat_router(settings, network, &services),
            interfaces: settings.interfaces("interface"),
            connections: settings
                .optional_integer("connections")
                .and_then(|number| u32::try_from(number).ok()), // its range fits
            keep_overrides: settings.boolean("keep_overrides"),
            control_group: settings
                .text("control_group")
                .filter(|name| !name.is_empty()),
            timeouts: ConfiguredTimeouts {
                tcp: positive_seconds(settings, "tcp_timeout"),
                tcp_fin: positive_seconds(settings, "tcpfin_timeout"),
                udp: positive_seconds(settings, "udp_timeout"),
            },
            limits: limits::limits(settings),
            tuning: policy::tuning(settings),
            policy,
            secure_tcp,
            marks,
            redundancy: self.redundancy(settings),
            services,
        };
        Meaning {
            config,
            origins,
            mark_origins,
        }
    }

    fn services<'s, 't>(
        &mut self,
        settings: &'s Section<'t>,
        file: &OfTheFile,
    ) -> (Vec<Arc<VirtualService>>, Vec<Origin<'s, 't>>) {
        let mut services = Vec::new();
        let mut origins = Vec::new();
        for section in &settings.children {
            match section.place {
                Place::Virtual => {
                    if let Some((service, origin)) = self.service(section, file) {
                        services.push(Arc::new(service));
                        origins.push(origin);
                    }
                }
                Place::Failover => self
                    .report
                    .warning(
                        section
                            .block
                            .map_or(section.span(""), |block| block.head_span()),
                        "failover-ignored",
                        format!(
                            "the `failover` block {} is ignored",
                            shown(section.name().as_bytes())
                        ),
                    )
                    .hint("Caribe does not do what Piranha's fos did; the block can be removed"),
                // Read by itself, or misplaced, which the tree has reported.
                Place::Mark | Place::Server | Place::Monitor | Place::Global => {}
            }
        }
        (services, origins)
    }

    fn nat_router(
        &mut self,
        settings: &Section<'_>,
        network: Forwarding,
        services: &[Arc<VirtualService>],
    ) -> Option<FloatingAddress> {
        let router = self.floating(settings, "nat_router", "nat_nmask")?;
        let nat_somewhere = network == Forwarding::Nat
            || services.iter().any(|service| {
                service
                    .servers
                    .iter()
                    .any(|server| server.forwarding == Forwarding::Nat)
            });
        if nat_somewhere || !settings.knows(&["network"]) {
            return Some(router);
        }
        self.report
            .warning(
                settings.span("nat_router"),
                "nat-router-unused",
                "`nat_router` is ignored: nothing in this file is forwarded by NAT",
            )
            .hint("remove it, or set `network` or a `forward` to nat");
        None
    }

    /// An address to carry, with its netmask.
    fn floating(
        &mut self,
        section: &Section<'_>,
        key: &str,
        mask_key: &str,
    ) -> Option<FloatingAddress> {
        let value = section.floating(key)?;
        let interface = value.label.split(':').next().unwrap_or_default();
        let prefix = self.prefix(section, mask_key, value.address)?;
        Some(FloatingAddress {
            address: value.address,
            interface: interface.to_owned(),
            label: value.label.clone(),
            prefix: prefix.unwrap_or(full_prefix(value.address)),
        })
    }

    /// The length that a mask says for an address; `Some(None)` when it is unset, `None` when it
    /// does not fit the address, which is reported.
    fn prefix(&mut self, section: &Section<'_>, key: &str, address: IpAddr) -> Option<Option<u8>> {
        let Some(mask) = section.mask(key) else {
            return Some(None);
        };
        let fault = match (mask, address) {
            (Mask::Dotted(1..), IpAddr::V6(_)) => {
                format!("`{key}` is a dotted netmask, but {address} is an IPv6 address")
            }
            (Mask::Length(length @ 33..), IpAddr::V4(_)) => {
                format!("`{key}` is {length}, but {address} is an IPv4 address with 32 bits")
            }
            _ => return Some(mask.length()),
        };
        let hint = match address {
            IpAddr::V6(_) => format!("write the length of the prefix, e.g. `{key} = 64`"),
            IpAddr::V4(_) => format!("write a dotted netmask, e.g. `{key} = 255.255.255.0`"),
        };
        self.report
            .error(section.span(key), "bad-netmask", fault)
            .hint(hint);
        None
    }

    /// The number of a port; a name is looked up for TCP, as Piranha did, and for a UDP service
    /// for UDP then.
    fn port(
        &mut self,
        section: &Section<'_>,
        key: &str,
        value: PortValue,
        protocol: Protocol,
    ) -> Option<u16> {
        let name = match value {
            PortValue::Number(number) => return Some(number),
            PortValue::Name(name) => name,
        };
        let span = section.span(key);
        let mut answer = self.resolver.port(&name, Protocol::Tcp);
        if protocol == Protocol::Udp && answer == Ok(None) {
            answer = self.resolver.port(&name, Protocol::Udp);
            if let (Ok(Some(port)), Mode::Strict) = (&answer, self.report.mode()) {
                let message = format!(
                    "{} is the name of a UDP service alone: old Piranha looks for TCP services",
                    shown(name.as_bytes())
                );
                let hint = format!("write {port}");
                self.report
                    .error(span, "strict-port-name", message)
                    .hint(hint);
            }
        }
        let reason = match answer {
            Ok(Some(port)) => return Some(port),
            Ok(None) => "the services database of this machine does not have it".to_owned(),
            Err(error) => error.to_string(),
        };
        self.report
            .error(
                span,
                "unknown-service-name",
                format!(
                    "`{key}` is no number, and the service name {} has no port: {reason}",
                    shown(name.as_bytes())
                ),
            )
            .hint("write the number of the port, 1 to 65535");
        None
    }
}

/// The forwarding method that a key names.
fn forwarding(section: &Section<'_>, key: &str) -> Option<Forwarding> {
    section.word(key)?.parse().ok() // the words of the key table are those of the model
}

fn seconds(section: &Section<'_>, key: &str) -> Duration {
    Duration::from_secs(section.integer(key).unsigned_abs()) // no such key can be negative
}

/// A number whose range in the key table fits.
fn number(section: &Section<'_>, key: &str) -> u32 {
    u32::try_from(section.integer(key)).unwrap_or(u32::MAX)
}

fn positive_seconds(section: &Section<'_>, key: &str) -> Option<Duration> {
    Some(seconds(section, key)).filter(|duration| !duration.is_zero())
}

fn full_prefix(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}
