//! What a `virtual` block and its `server` blocks amount to.

use std::net::IpAddr;
use std::num::NonZeroU32;

use caribe_model::{
    Netmask, Persistence, Protocol, Scheduler, SchedulerFlags, SchedulerOptions, TableSize,
};

use crate::config::VirtualService;
use crate::keys::Place;
use crate::settings::Section;

use super::{
    Interpreter, OfTheFile, Origin, forwarding, full_prefix, monitoring, number, policy, seconds,
};

impl Interpreter<'_, '_> {
    /// `None` when a part without which there is no service was refused or is missing.
    pub(super) fn service<'s, 't>(
        &mut self,
        section: &'s Section<'t>,
        file: &OfTheFile,
    ) -> Option<(VirtualService, Origin<'s, 't>)> {
        self.address_is_there(section);
        let protocol = match section.word("protocol") {
            Some("udp") => Protocol::Udp,
            Some("sctp") => Protocol::Sctp,
            _ => Protocol::Tcp,
        };
        let address = self.floating(section, "address", "vip_nmask");
        let port = section
            .port("port")
            .and_then(|port| self.port(section, "port", port, protocol));
        let persistence = self.persistence(section);
        let method = forwarding(section, "forward").unwrap_or(file.network);
        let (policy, secure_tcp) = policy::of_a_service(section, (file.policy, file.secure_tcp));
        let mut servers = Vec::new();
        let mut sections = Vec::new();
        for child in &section.children {
            if child.place == Place::Server
                && let Some(server) = self.server(child, section, method, port, protocol)
            {
                servers.push(server);
                sections.push(child);
            }
        }
        let sorry_server = self.sorry_server(section, method, port, protocol);
        let monitors = self.monitors(section, section);
        let notify = match section.get("notify") {
            Some(_) => section.command("notify"),
            None => file.notify.clone(),
        };
        let service = VirtualService {
            name: section.name().to_owned(),
            active: section.boolean("active"),
            address: address?,
            mark: u32::try_from(section.integer("fwmark"))
                .ok() // its range fits
                .and_then(NonZeroU32::new),
            port: port?,
            protocol,
            scheduler: section.scheduler("scheduler"),
            options: self.scheduler_options(section),
            sorry_server,
            persistence,
            one_packet: section.boolean("one_packet"),
            drain_timeout: seconds(section, "drain_timeout"),
            policy,
            secure_tcp,
            monitor: monitoring::piranha(section, protocol, port?),
            monitors,
            quorum: self.quorum(section),
            slow_start: monitoring::slow_start(section),
            load: self.load(section, file),
            notify,
            quiesce: section.boolean("quiesce_server"),
            servers,
        };
        let origin = Origin {
            section,
            servers: sections,
        };
        Some((service, origin))
    }

    fn address_is_there(&mut self, section: &Section<'_>) {
        if section.get("address").is_none() && section.knows(&["address"]) {
            self.report
                .error(
                    section.span("address"),
                    "missing-address",
                    format!("virtual service `{}` has no `address`", section.name()),
                )
                .hint("add the VIP and its interface, e.g. `address = 192.0.2.80 eth0:1`");
        }
    }

    /// Flags that the scheduler does not have are reported and left out.
    fn scheduler_options(&mut self, section: &Section<'_>) -> SchedulerOptions {
        let scheduler = section.scheduler("scheduler");
        let mut flags = SchedulerFlags::default();
        for word in section.words("scheduler_flags") {
            match SchedulerFlags::named(scheduler, word) {
                Ok(flag) => flags = flags.with(flag),
                Err(unknown) if section.knows(&["scheduler"]) => self
                    .report
                    .error(
                        section.span("scheduler_flags"),
                        "flag-of-another-scheduler",
                        format!("the scheduler `{scheduler}` has no flag `{word}`"),
                    )
                    .hint(match SchedulerFlags::of(scheduler) {
                        [] => "only `sh` and `mh` have flags: remove it".to_owned(),
                        _ => format!("its flags are {}", unknown.expected),
                    }),
                Err(_) => {}
            }
        }
        if section.get("mh_table_size").is_some()
            && scheduler != Scheduler::Mh
            && section.knows(&["scheduler"])
        {
            self.report
                .warning(
                    section.span("mh_table_size"),
                    "table-size-unused",
                    format!("`mh_table_size` has no effect with the scheduler `{scheduler}`"),
                )
                .hint("remove it, or set `scheduler = mh`");
        }
        let slots = section.word("mh_table_size").map(str::parse::<u32>);
        SchedulerOptions {
            flags,
            // The words of the key table are those of the model, and have a default.
            table_size: slots
                .and_then(Result::ok)
                .and_then(|slots| TableSize::try_from(slots).ok())
                .unwrap_or_default(),
        }
    }

    fn persistence(&mut self, section: &Section<'_>) -> Option<Persistence> {
        let address = section.floating("address")?.address;
        let prefix = self.prefix(section, "pmask", address)?;
        let timeout = number(section, "persistent");
        if timeout == 0 {
            if prefix.is_some_and(|prefix| prefix < full_prefix(address))
                && section.knows(&["persistent"])
            {
                self.report
                    .warning(
                        section.span("pmask"),
                        "pmask-alone",
                        "`pmask` has no effect without `persistent`",
                    )
                    .hint("add `persistent`, or remove `pmask`");
            }
            return None;
        }
        if timeout > Persistence::LONGEST {
            self.report
                .warning(
                    section.span("persistent"),
                    "persistence-shortened",
                    format!(
                        "{timeout} s are more than can be told apart: clients keep their server \
                         for {} s (23 days)",
                        Persistence::LONGEST
                    ),
                )
                .hint(format!("write {} at most", Persistence::LONGEST));
        }
        let prefix = prefix.unwrap_or(full_prefix(address));
        Some(Persistence {
            timeout: timeout.min(Persistence::LONGEST),
            netmask: match address {
                IpAddr::V4(_) => {
                    let bits = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                    Netmask::V4(bits.into())
                }
                IpAddr::V6(_) => Netmask::V6(prefix),
            },
        })
    }
}
