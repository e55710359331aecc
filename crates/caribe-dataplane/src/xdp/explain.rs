//! Which server would this packet get, and why?
//!
//! The answer comes from the very programs that balance. They are loaded a second time, with the
//! constant `EXPLAIN` set, and never put on an interface: so they decide as ever, note every step,
//! and change nothing. They share the maps of the running data plane, except those that are theirs
//! alone: what one chapter leaves for the next, and the counters.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use aya::maps::{MapData, PerCpuArray};
use aya::{Ebpf, EbpfLoader};
use caribe_model::{Family, ServerKey, ServiceKey};
use caribe_packet::least::MOST_SLOTS;
use caribe_packet::server::{IN_SERVICE, Load, Server};
use caribe_packet::service::{Choice as Way, is_hash, remembers};
use caribe_packet::trace::{self, Trace};
use caribe_packet::verdict::Verdict;

use super::connection_table::LiveConnection;
use super::error::kernel;
use super::explain_frame::{differences, frame};
use super::maps::{CounterWords, Maps, PerCpu, Sizes};
use super::probe::{Action, run};
use super::{XdpDataplane, encoding, next_hops};
use crate::{
    Choice, Compared, DataplaneError, ExplainedServer, ExplainedService, Explanation, Fate, Made,
    Over, Question, object,
};

/// Where a running data plane is, for an [`Explainer`] on any thread.
#[derive(Debug, Clone)]
pub struct Whereabouts {
    directory: PathBuf,
    sizes: Sizes,
}

/// The programs that explain, with the maps that they look at.
pub struct Explainer {
    ebpf: Ebpf,
    maps: Maps,
    trace: PerCpu<TraceWords>,
    /// The counters of the running data plane: what limits and floods go by.
    counters: PerCpuArray<MapData, CounterWords>,
}

/// A [`Trace`] as words.
type TraceWords = [u64; size_of::<Trace>() / 8];

/// The map of which the programs that explain have their own.
const OWN: &str = "COUNTERS";

impl XdpDataplane {
    /// Where the data plane is pinned.
    pub fn whereabouts(&self) -> Whereabouts {
        Whereabouts {
            directory: self.pins.directory().to_owned(),
            sizes: self.maps.sizes,
        }
    }
}

impl Explainer {
    /// Loads the programs: some seconds of work for the kernel's verifier.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn load(whereabouts: &Whereabouts) -> Result<Self, DataplaneError> {
        let Whereabouts { directory, sizes } = whereabouts;
        let mut loader = EbpfLoader::new();
        loader.override_global("EXPLAIN", &1u32, true);
        for shape in sizes.shapes() {
            if shape.name == OWN {
                continue;
            }
            loader.map_max_entries(shape.name, shape.entries);
            loader.map_pin_path(shape.name, directory.join(shape.name));
        }
        loader.map_max_entries("FRAGMENTS", 256);
        let mut ebpf = loader
            .load(object::BYTES)
            .map_err(kernel("load the BPF object to explain packets"))?;
        object::load_director(&mut ebpf)
            .map_err(kernel("load the programs that explain packets"))?;
        let path = directory.join("COUNTERS");
        let action = || format!("open the map {}", path.display());
        let counters = MapData::from_pin(&path).map_err(kernel(action()))?;
        let counters = aya::maps::Map::PerCpuArray(counters);
        Ok(Explainer {
            trace: PerCpu::take(&mut ebpf, "TRACE")?,
            maps: Maps::take(&mut ebpf, *sizes)?,
            counters: PerCpuArray::try_from(counters).map_err(kernel(action()))?,
            ebpf,
        })
    }

    /// What would become of a packet now. Nothing is changed by asking.
    ///
    /// `interface` is the index of the interface by which it comes in.
    ///
    /// # Errors
    ///
    /// What the kernel says, for example of an interface without an XDP program.
    pub fn explain(
        &mut self,
        question: &Question,
        interface: Option<u32>,
    ) -> Result<Explanation, DataplaneError> {
        let (frame, outcome) = self.run(question, interface)?;
        let trace = self.read_trace()?;
        let verdict = Verdict::ALL
            .get(trace.verdict as usize)
            .ok_or("it left no verdict")
            .map_err(kernel("read what the program noted"))?;
        let fate = match outcome.action {
            Action::Drop | Action::Aborted | Action::Unknown(_) => Fate::Dropped,
            Action::Pass => Fate::Passed,
            Action::Transmit | Action::Redirect if is_answer(*verdict) => Fate::Answered,
            Action::Transmit | Action::Redirect => Fate::Forwarded,
        };
        let met = |bit: u32| trace.met & bit != 0;
        let now = super::now()?;
        let made = [
            (trace::OPENED, Made::Connection),
            (trace::TEMPLATE_MADE, Made::Template),
        ];
        let connection = met(trace::CONNECTION)
            .then(|| self.connection(question, trace.connection, now))
            .flatten();
        let goes_on = connection.as_ref().filter(|_| !met(trace::SERVICE));
        // A connection keeps its port; for a new one it is chosen.
        let port = goes_on.map_or(trace.server_port as u16, |it| it.server.port());
        Ok(Explanation {
            verdict: verdict.name().to_owned(),
            meaning: verdict.meaning().trim().to_owned(),
            fate,
            service: met(trace::SERVICE).then(|| service(question, &trace)),
            connection,
            over: [
                (trace::REOPENED, Over::Reopened),
                (trace::SERVER_GONE, Over::ServerGone),
                (trace::EXPIRED, Over::Expired),
            ]
            .into_iter()
            .find_map(|(bit, over)| met(bit).then_some(over)),
            template: met(trace::TEMPLATE)
                .then(|| self.connection(question, trace.template, now))
                .flatten(),
            choice: met(trace::SCHEDULED).then(|| self.choice(question, &trace)),
            makes: made
                .into_iter()
                .filter_map(|(bit, made)| met(bit).then_some(made))
                .collect(),
            server: self.server(trace.server, port),
            changes: match fate {
                Fate::Forwarded => differences(&frame, &outcome.frame),
                Fate::Answered | Fate::Passed | Fate::Dropped => Vec::new(),
            },
        })
    }

    /// The frame that a packet would become, as the program that explains leaves it.
    ///
    /// # Errors
    ///
    /// As [`Explainer::explain`].
    pub fn run(
        &mut self,
        question: &Question,
        interface: Option<u32>,
    ) -> Result<(Vec<u8>, super::probe::Outcome), DataplaneError> {
        // Whether there is a flood, and whether an error may be sent, is for the counters to say.
        let counters = self.counters.get(&0, 0);
        let counters = counters.map_err(kernel("read the counters of the data plane"))?;
        self.maps.counters.set_every(0, counters)?;
        let processors = self.trace.every(0)?.len();
        let nothing = aya::maps::PerCpuValues::try_from(vec![[0; _]; processors]);
        let nothing = nothing.map_err(kernel("clear what the program notes"))?;
        self.trace.set_every(0, nothing)?;
        let frame = frame(question);
        let outcome = run(&self.ebpf, &frame, interface)?;
        Ok((frame, outcome))
    }

    /// What was noted, on whichever processor that was.
    fn read_trace(&self) -> Result<Trace, DataplaneError> {
        let every = self.trace.every(0)?;
        let noted = every.iter().find(|words| **words != [0; _]);
        // A packet that left nothing has the first verdict.
        Ok(noted.map(decode).unwrap_or_default())
    }

    fn connection(&self, question: &Question, slot: u32, now: u32) -> Option<LiveConnection> {
        let servers = &self.maps.servers;
        if question.vip.is_ipv4() {
            let table = &self.maps.connections4;
            (slot < table.slots.len()).then(|| table.show(slot, servers, now))?
        } else {
            let table = &self.maps.connections6;
            (slot < table.slots.len()).then(|| table.show(slot, servers, now))?
        }
    }

    fn server(&self, number: u32, port: u16) -> Option<ExplainedServer> {
        let entry = self.entry(number)?;
        let load = self.load_of(number);
        Some(ExplainedServer {
            key: encoding::server_key(&entry),
            port,
            forwarding: encoding::forwarding_from_number(entry.forwarding),
            weight: entry.weight,
            in_service: entry.flags & IN_SERVICE != 0,
            active: load.active(),
            inactive: load.inactive(),
            next_hop: next_hops::read(&entry),
        })
    }

    fn entry(&self, server: u32) -> Option<Server> {
        let is_one = server != 0 && server < self.maps.servers.len();
        is_one.then(|| self.maps.servers.read(server))
    }

    fn load_of(&self, server: u32) -> Load {
        Load(self.maps.loads.word(server).load(Ordering::Acquire))
    }

    fn choice(&self, question: &Question, trace: &Trace) -> Choice {
        let choice = trace.choice as u8;
        if choice == Way::Rotate as u8 {
            return Choice::Rotation {
                picks: trace.picks,
                slots: trace.length,
                passed_over: trace.tried,
            };
        }
        if choice == Way::TwoDrawn as u8 {
            let drawn = trace.drawn.into_iter();
            return Choice::Drawn {
                servers: drawn
                    .filter_map(|it| self.compared(it, None, trace))
                    .collect(),
            };
        }
        if is_hash(choice) {
            let owner = (trace.first < trace.length)
                .then(|| self.slot(trace.base.wrapping_add(trace.first)))
                .flatten();
            return Choice::Hashed {
                origin: trace.origin,
                slot: trace.first,
                slots: trace.length,
                owner: owner
                    .and_then(|(server, weight)| self.compared(server, Some(weight), trace)),
                tried: trace.tried,
            };
        }
        if remembers(choice) {
            let is_known = trace.met & trace::REMEMBERED != 0;
            let given_up = trace.met & trace::GIVEN_UP != 0;
            let remembered = trace.members.into_iter().take_while(|it| *it != 0);
            return Choice::Remembered {
                destination: question.vip.ip(),
                remembered: remembered
                    .filter_map(|it| self.compared(it, None, trace))
                    .collect(),
                given_up,
                servers: if is_known && !given_up {
                    Vec::new()
                } else {
                    self.all_compared(trace)
                },
            };
        }
        Choice::Compared {
            servers: self.all_compared(trace),
        }
    }

    /// Server and weight of a slot.
    fn slot(&self, at: u32) -> Option<(u32, u32)> {
        let is_one = at < self.maps.slots.len();
        let slot = is_one.then(|| self.maps.slots.read(at))?;
        Some((slot.server, slot.weight))
    }

    fn all_compared(&self, trace: &Trace) -> Vec<Compared> {
        let slots = (0..trace.length.min(MOST_SLOTS)).map(|at| trace.base.wrapping_add(at));
        slots
            .filter_map(|at| self.slot(at))
            .filter_map(|(server, weight)| self.compared(server, Some(weight), trace))
            .collect()
    }

    /// A server as it was looked at; with its own weight, if the scheduler has none of its own.
    fn compared(&self, server: u32, weight: Option<u32>, trace: &Trace) -> Option<Compared> {
        let entry = self.entry(server)?;
        let key: ServerKey = encoding::server_key(&entry);
        let load = self.load_of(server);
        Some(Compared {
            key,
            weight: weight.unwrap_or(entry.weight),
            active: load.active(),
            inactive: load.inactive(),
            overloaded: load.overloaded() != 0,
            chosen: server == trace.server,
        })
    }
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explainer").finish_non_exhaustive()
    }
}

/// True for a verdict by which the sender is told.
fn is_answer(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::AnsweredNoServer | Verdict::AnsweredTtl | Verdict::AnsweredTooBig
    )
}

fn service(question: &Question, trace: &Trace) -> ExplainedService {
    let mark = NonZeroU32::new(trace.mark);
    let key = match mark {
        Some(mark) => ServiceKey::Mark {
            family: Family::from(question.vip.ip()),
            mark,
        },
        None => ServiceKey::Address {
            protocol: question.protocol,
            address: question.vip.ip(),
            port: trace.port as u16,
        },
    };
    ExplainedService {
        key,
        mark,
        // Above the eight bits of the choice.
        scheduler: encoding::scheduler_from_number((trace.choice >> 8) as u8),
    }
}

/// A trace from its words.
fn decode(words: &TraceWords) -> Trace {
    let halves: Vec<u32> = words[1..]
        .iter()
        .flat_map(|word| {
            let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
            [[a, b, c, d], [e, f, g, h]].map(u32::from_ne_bytes)
        })
        .collect();
    let mut halves = halves.into_iter();
    // There are as many as the trace has fields.
    let mut next = || halves.next().unwrap_or_default();
    Trace {
        picks: words[0],
        met: next(),
        verdict: next(),
        connection: next(),
        template: next(),
        server: next(),
        service: next(),
        base: next(),
        length: next(),
        cycle_start: next(),
        choice: next(),
        mark: next(),
        port: next(),
        server_port: next(),
        origin: next(),
        first: next(),
        tried: next(),
        drawn: [next(), next()],
        members: std::array::from_fn(|_| next()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_field_by_field() {
        let words: TraceWords = std::array::from_fn(|at| {
            let low = at as u64 * 2;
            if at == 0 { 77 } else { low | (low + 1) << 32 }
        });
        let trace = decode(&words);
        assert_eq!(trace.picks, 77);
        assert_eq!((trace.met, trace.verdict, trace.connection), (2, 3, 4));
        assert_eq!((trace.tried, trace.drawn), (17, [18, 19]));
        assert_eq!((trace.members[0], trace.members[13]), (20, 33));
    }
}
