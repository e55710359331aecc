//! Changing the table: the plan is made by [`LiveTable::plan`](crate::table::LiveTable::plan), its steps are taken here.

use std::sync::atomic::Ordering;
use std::time::Duration;

use caribe_model::Table;
use caribe_packet::server::{Bounds, ENCAPSULATION, IN_SERVICE, Load, Server};
use caribe_packet::service::Service;
use caribe_packet::settings::Settings;

use super::maps::Maps;
use super::{XdpDataplane, encoding, next_hops, policies};
use crate::slots::GRACE;
use crate::table::{LiveServer, Refusal, Step, wide_services};
use crate::{Applied, DataplaneError};

impl XdpDataplane {
    /// Makes the live table equal to `desired`.
    pub(super) fn apply_table(&mut self, desired: &Table) -> Result<Applied, DataplaneError> {
        if self.torn {
            self.mend()?;
        }
        let plan = match self.plan(desired) {
            Err(Refusal::Capacity {
                what, soon: true, ..
            }) => {
                tracing::info!(what, "waiting for what was just replaced to be free again");
                rest();
                self.plan(desired)
            }
            other => other,
        };
        let plan = plan.map_err(refused)?;
        self.forget_destinations(&plan)?;
        self.torn = true;
        // Until all is done, packets look for what is there before and after.
        let coming = plan.difference.services.keys();
        self.put_wide_services(self.live.wide_services() | wide_services(coming));
        for step in &plan.steps {
            self.take(step)?;
        }
        self.torn = false;
        self.live.become_different(plan.difference);
        self.put_wide_services(self.live.wide_services());
        self.put_nat_ends()?;
        Ok(Applied {
            changes: plan.changes,
        })
    }

    /// Tells packets which ports services take beside a packet's own.
    pub(super) fn put_wide_services(&self, wide_services: u32) {
        let settings = self.maps.settings.read(0);
        if settings.wide_services != wide_services {
            let settings = Settings {
                wide_services,
                ..settings
            };
            self.maps.settings.write(0, &settings);
        }
    }

    fn plan(&self, desired: &Table) -> Result<crate::table::Plan, Refusal> {
        // A clock that cannot be read delays the reuse of what was retired, nothing else.
        let now = crate::clock::now().unwrap_or_default();
        self.live
            .plan(desired, now, &|cursor| self.maps.picks(cursor))
    }

    /// Takes one step.
    pub(super) fn take(&mut self, step: &Step) -> Result<(), DataplaneError> {
        tracing::debug!(?step, "changing the table");
        match step {
            Step::DeleteService(key) => self.maps.delete_service(key),
            Step::DeleteVip(address) => self.maps.delete_vip(*address),
            Step::PutVip(address) => self.maps.put_vip(*address),
            Step::PutServer {
                index,
                service,
                server,
                sequence,
                fresh,
            } => {
                if *fresh {
                    self.maps.loads.write(*index, &0);
                    self.maps.close_traffic(*index, None);
                }
                let word = encoding::roster_word(*sequence, server.weights);
                self.maps.roster.write(*index, &word);
                self.put_bounds(*index, server);
                self.put_server(*index, *service, server);
                Ok(())
            }
            Step::CloseTraffic { index, service } => {
                self.close_traffic(*index, *service);
                Ok(())
            }
            Step::EditServer { index, server } => {
                let word = self.maps.roster.read(*index);
                let (sequence, _) = encoding::from_roster_word(word, 0);
                let word = encoding::roster_word(sequence, server.weights);
                self.maps.roster.write(*index, &word);
                self.put_bounds(*index, server);
                let entry = self.maps.servers.read(*index);
                let (wrapping, tunnel_port) = encoding::encapsulation_bits(server.encapsulation);
                let entry = Server {
                    weight: server.weights.now,
                    forwarding: encoding::forwarding_number(server.forwarding),
                    flags: entry.flags & !ENCAPSULATION | wrapping,
                    tunnel_port,
                    ..entry
                };
                next_hops::write_last_word(&self.maps.servers, *index, &entry);
                Ok(())
            }
            Step::PutTerms { id, terms } => {
                self.maps.policies.write(*id, &policies::encode(terms));
                Ok(())
            }
            Step::OpenLedger(service) => {
                self.maps.open_ledger(*service);
                Ok(())
            }
            Step::PutRun { run, slots } => {
                for (at, slot) in (run.base..).zip(slots) {
                    self.maps.slots.write(at, slot);
                }
                Ok(())
            }
            Step::PutCursor { cursor, state } => {
                self.maps.put_cursor(*cursor, *state);
                Ok(())
            }
            Step::PutService {
                key,
                id,
                run,
                cycle_start,
                cursor,
                choice,
                scheduler,
                flags,
            } => {
                let service = Service {
                    id: *id,
                    base: run.base,
                    length: run.length,
                    cycle_start: *cycle_start,
                    cursor: Maps::cursor_index(*cursor),
                    choice: *choice as u8,
                    scheduler: encoding::scheduler_number(*scheduler),
                    flags: flags.bits(),
                    padding: 0,
                };
                self.maps.put_service(key, &service)
            }
            Step::PutMarks(layout) => self.maps.marks.put(layout),
            Step::Discard(index) => {
                let entry = self.maps.servers.read(*index);
                let entry = Server {
                    flags: entry.flags & !IN_SERVICE,
                    ..entry
                };
                next_hops::write_last_word(&self.maps.servers, *index, &entry);
                Ok(())
            }
            Step::Orphan(index) => {
                let entry = Server {
                    service: 0,
                    ..self.maps.servers.read(*index)
                };
                self.maps.servers.write(*index, &entry);
                Ok(())
            }
        }
    }

    /// Clears a discarded server's traffic. Its service keeps the sum, unless it is an orphan: then
    /// that service is gone, and another one may have its key.
    pub(super) fn close_traffic(&mut self, index: u32, service: Option<u32>) {
        let owner = self.maps.servers.read(index).service;
        let service = service.filter(|service| *service == owner);
        self.maps.close_traffic(index, service);
    }

    /// Writes how many connections a server takes. When that changes, the connections that it has
    /// tell whether it is overloaded, as in IPVS since 2026 (an edit could only end it before).
    fn put_bounds(&self, index: u32, server: &LiveServer) {
        let before = Bounds(self.maps.bounds.read(index));
        let bounds = encoding::bounds(server.thresholds);
        if bounds == before {
            return;
        }
        self.maps.bounds.write(index, &bounds.0);
        // A packet that brings or ends a connection meanwhile looks at the new bounds itself.
        let judged = |load: u64| match Load(load) {
            load if bounds.overloads(load) => Some(load.0 | Load::OVERLOADED),
            load if bounds.relieves(load) => Some(load.0 & !Load::OVERLOADED),
            // Between the two it stays as it is.
            _ => None,
        };
        let load = self.maps.loads.word(index);
        // An error is no change.
        let _stays = load.fetch_update(Ordering::AcqRel, Ordering::Acquire, judged);
    }

    /// Writes the entry of a server that no packet uses: its last word, with the flag that it is
    /// in service, comes last.
    fn put_server(&self, index: u32, service: u32, server: &LiveServer) {
        let (wrapping, tunnel_port) = encoding::encapsulation_bits(server.encapsulation);
        let entry = Server {
            address: encoding::wide(server.key.address),
            port: server.key.port.to_be_bytes(),
            service,
            weight: server.weights.now,
            forwarding: encoding::forwarding_number(server.forwarding),
            flags: encoding::server_flags(&server.key) | wrapping,
            tunnel_port,
            ..Server::default()
        };
        let hop = self.next_hops.get(&server.key.address);
        let entry = hop
            .and_then(|hop| next_hops::with_next_hop(&entry, hop))
            .unwrap_or(entry);
        self.maps.servers.write(index, &entry);
    }
}

/// Waits until no packet in flight uses what was just replaced.
fn rest() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell's last resort when nearly all room is taken; a second at most"
    )]
    std::thread::sleep(Duration::from_nanos(
        u64::from(GRACE + 50) << caribe_packet::settings::TICK_SHIFT,
    ));
}

fn refused(refusal: Refusal) -> DataplaneError {
    match refusal {
        Refusal::Capacity {
            what, needed, room, ..
        } => DataplaneError::Capacity { what, needed, room },
    }
}
