//! Reading a file again of which most has not changed.
//!
//! A file of ten thousand services is read in most of a second, and a reload changes one of them.
//! So a [`Reader`] keeps what the last file meant, and reads of the next one only what stands
//! outside of the `virtual` blocks that it knows byte for byte: the *rest*. It relies on that only
//! where nothing else can have come out than from the whole file:
//!
//! - Neither the last file nor the rest gives anybody cause to complain, so that there is nothing
//!   to report and no line to report it on.
//! - No name had to be resolved: its answer may be another today.
//! - The same blocks stand in the same order, no unchanged one inside another. What checks compare
//!   between blocks is written as it was: names, VIPs, ports, protocols, marks. Servers may come
//!   and go, but none of them is a VIP, and there is room for all.
//! - Nothing outside the blocks is new but `serial_no`. Services with a mark take the long way.
//!
//! Everything else is read from the start. Recommendations are not part of the bargain: only
//! [`parse`](crate::parse) makes them.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use caribe_model::Protocol;

use crate::config::VirtualService;
use crate::diagnostic::Report;
use crate::resolver::{ResolveError, Resolver};
use crate::tree::{Block, BlockKind, Body, Document};
use crate::{Config, Diagnostic, Mode, Source, read};

/// Statements by which services are told apart and compared with each other.
const IDENTITY: [&str; 6] = [
    "active",
    "address",
    "vip_nmask",
    "port",
    "protocol",
    "fwmark",
];

/// What a file was found to be.
#[derive(Debug, Clone)]
pub struct Reading {
    /// As in [`Parsed`](crate::Parsed). A service whose block has not changed is the same `Arc`
    /// that it was.
    pub config: Option<Config>,
    /// As in [`Parsed`](crate::Parsed).
    pub diagnostics: Vec<Diagnostic>,
    /// Whether it was read without the blocks that were known.
    pub shortened: bool,
}

/// Reads one file again and again.
#[derive(Debug, Default)]
pub struct Reader {
    known: Option<Known>,
}

/// A file without fault.
#[derive(Debug)]
struct Known {
    source: Source,
    mode: Mode,
    /// Where each block is, in the order of the file.
    places: Vec<Range<usize>>,
    /// What each of them means.
    services: Vec<Arc<VirtualService>>,
    /// Which of them begins with this line.
    heads: HashMap<Vec<u8>, usize>,
}

impl Reader {
    /// Reads a file. What is found is what [`parse`](crate::parse) finds, recommendations
    /// excepted.
    pub fn read(&mut self, source: &Source, mode: Mode, resolver: &dyn Resolver) -> Reading {
        let known = self.known.take().filter(|known| known.mode == mode);
        if let Some(mut known) = known
            && let Some((config, places)) = known.shortened(source)
        {
            let services = config.services.clone();
            known.heads = match places == known.places {
                true => known.heads,
                false => heads(source.text(), &places),
            };
            self.known = Some(Known {
                source: source.clone(),
                places,
                services,
                ..known
            });
            return Reading {
                config: Some(config),
                diagnostics: Vec::new(),
                shortened: true,
            };
        }
        let resolver = Witness::of(resolver);
        let mut report = Report::new(source, mode);
        let found = read(source, &resolver, &mut report).filter(|_| !report.has_errors());
        let diagnostics = report.finish();
        if let Some((config, document)) = &found
            && diagnostics.is_empty()
            && !resolver.asked.get()
        {
            self.known = Known::of(source, mode, config, document);
        }
        Reading {
            config: found.map(|(config, _)| config),
            diagnostics,
            shortened: false,
        }
    }
}

impl Known {
    fn of(source: &Source, mode: Mode, config: &Config, document: &Document) -> Option<Self> {
        let blocks: Vec<&Block> = document.body().blocks().collect();
        let services = &config.services;
        let fits = blocks.len() == services.len()
            && blocks
                .iter()
                .all(|block| block.kind() == BlockKind::Virtual);
        let places: Option<Vec<_>> = blocks.iter().map(|block| block.place()).collect();
        let places = places.filter(|_| fits && !has_returns(source))?;
        Some(Known {
            heads: heads(source.text(), &places),
            source: source.clone(),
            mode,
            places,
            services: services.clone(),
        })
    }

    /// The meaning of another file, and where its blocks are, by that of this one.
    fn shortened(&mut self, source: &Source) -> Option<(Config, Vec<Range<usize>>)> {
        if source.text().len() > Source::MAX_SIZE || has_returns(source) {
            return None;
        }
        let rest = self.rest(source.text());
        let after = Source::new(source.name(), rest.text.clone());
        let resolver = Witness::of(&Nobody);
        let mut report = Report::new(&after, self.mode);
        let (config, document) = read(&after, &resolver, &mut report)?;
        if resolver.asked.get() || !report.finish().is_empty() {
            return None;
        }
        let (places, replaced) = self.order(&rest, document.body())?;
        if !self.says_the_same(&document, &replaced) {
            return None;
        }
        let services = self.services(&config, &replaced)?;
        Some((Config { services, ..config }, places))
    }

    /// What of a text is not one of the blocks, each as it was.
    fn rest(&self, text: &[u8]) -> Rest {
        let mut rest = Rest {
            text: Vec::new(),
            gaps: Vec::new(),
            origin: Vec::new(),
        };
        let (mut at, mut next) = (0, 0);
        while at < text.len() {
            let left = &text[at..];
            if let Some(block) = self.known_at(left, next) {
                let length = self.places[block].len();
                rest.gaps.push((rest.text.len(), block, at..at + length));
                at += length;
                next = block + 1;
                continue;
            }
            let line = first_line(left);
            rest.origin.push((rest.text.len(), at));
            rest.text.extend(line);
            at += line.len();
        }
        rest
    }

    /// The known block with which a text begins, most likely `next`. The first one is always read
    /// again, so that the rest is a file with a service.
    fn known_at(&self, text: &[u8], next: usize) -> Option<usize> {
        let is = |block: usize| {
            let place = self.places.get(block).cloned()?;
            let bytes = &self.source.text()[place];
            (block > 0 && bytes.ends_with(b"\n") && text.starts_with(bytes)).then_some(block)
        };
        is(next).or_else(|| is(*self.heads.get(first_line(text))?))
    }

    /// Where the blocks of the whole file are, and for each block of the rest the place of that
    /// which it stands for; `None` if they are not those that are known, in their order.
    fn order(&self, rest: &Rest, body: &Body) -> Option<(Vec<Range<usize>>, Vec<usize>)> {
        let mut places = Vec::with_capacity(self.places.len());
        let mut replaced = Vec::new();
        let mut gaps = rest.gaps.iter().peekable();
        let mut blocks = body.blocks().peekable();
        loop {
            let own = blocks.peek().map(|block| block.place());
            let own = match own {
                Some(None) => return None,
                Some(Some(own)) => Some(own),
                None => None,
            };
            let before = gaps.next_if(|(at, ..)| own.as_ref().is_none_or(|own| *at <= own.start));
            if let Some((_, block, place)) = before {
                if *block != places.len() {
                    return None;
                }
                places.push(place.clone());
                continue;
            }
            let (Some(own), Some(block)) = (own, blocks.next()) else {
                break;
            };
            // A known block inside it would not be one of its own.
            let inside = gaps.peek().is_some_and(|(at, ..)| *at < own.end);
            let index = places.len();
            let was = self.services.get(index)?;
            if inside || block.kind() != BlockKind::Virtual || block.name() != was.name {
                return None;
            }
            replaced.push(index);
            let start = rest.origin_of(own.start)?;
            places.push(start..start + own.len());
        }
        (places.len() == self.places.len()).then_some((places, replaced))
    }

    /// Whether statements outside the blocks, and those of identity in them, are as they were.
    fn says_the_same(&self, after: &Document, replaced: &[usize]) -> bool {
        let text = self.source.text();
        let mut before = Vec::new();
        let mut at = 0;
        let mut replaced = replaced.iter().peekable();
        for (block, place) in self.places.iter().enumerate() {
            before.extend(&text[at..place.start]);
            if replaced.next_if_eq(&&block).is_some() {
                before.extend(&text[place.clone()]);
            }
            at = place.end;
        }
        before.extend(&text[at..]);
        let before = Source::new(self.source.name(), before);
        let before = Document::build(&before, &mut Report::new(&before, self.mode));
        let mut blocks = before.body().blocks().zip(after.body().blocks());
        statements(before.body(), |key| key != b"serial_no")
            .eq(statements(after.body(), |key| key != b"serial_no"))
            && blocks.all(|(before, after)| {
                let tells = |key: &[u8]| IDENTITY.iter().any(|name| name.as_bytes() == key);
                statements(before.body(), tells).eq(statements(after.body(), tells))
            })
    }

    /// All services, if those that were read anew can take the places of those that were.
    fn services(&self, config: &Config, replaced: &[usize]) -> Option<Vec<Arc<VirtualService>>> {
        if config.services.len() != replaced.len() || !config.marks.is_empty() {
            return None;
        }
        let active = self.services.iter().filter(|service| service.active);
        let vips: HashSet<IpAddr> = active.map(|service| service.address.address).collect();
        let mut services = self.services.clone();
        for (place, service) in replaced.iter().zip(&config.services) {
            let was = &self.services[*place];
            let mut servers = service.servers.iter().chain(&service.sorry_server);
            if service.mark.is_some() || servers.any(|server| vips.contains(&server.address)) {
                return None;
            }
            // What it is put up with was settled among all services of the VIP.
            let service = VirtualService {
                address: was.address.clone(),
                ..VirtualService::clone(service)
            };
            if service != **was {
                services[*place] = Arc::new(service);
            }
        }
        let room = usize::try_from(config.limits.servers).unwrap_or(usize::MAX);
        (servers(&services) <= room).then_some(services)
    }
}

/// A text without the blocks that are known.
struct Rest {
    text: Vec<u8>,
    /// Where in it a known block was left out, which one, and where that is in the whole text.
    gaps: Vec<(usize, usize, Range<usize>)>,
    /// For each of its lines the offset here and in the whole text.
    origin: Vec<(usize, usize)>,
}

impl Rest {
    /// Where a byte of it is in the whole text.
    fn origin_of(&self, offset: usize) -> Option<usize> {
        let line = self.origin.partition_point(|(own, _)| *own <= offset);
        let (own, whole) = self.origin.get(line.checked_sub(1)?)?;
        Some(whole + (offset - own))
    }
}

/// How many servers are asked for, as the limit counts them.
fn servers(services: &[Arc<VirtualService>]) -> usize {
    let active = services.iter().filter(|service| service.active);
    let numbers = active.map(|service| {
        let servers = service.servers.iter().filter(|server| server.active);
        servers.count() + usize::from(service.sorry_server.is_some())
    });
    numbers.sum()
}

/// The statements whose key is asked for, with their values.
fn statements(
    body: &Body,
    asked: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = (&[u8], Vec<Vec<u8>>)> {
    let entries = body.entries().filter(move |entry| asked(entry.key()));
    entries.map(|entry| (entry.key(), entry.values().map(|it| it.text()).collect()))
}

/// Which block begins with which line. Of two with one name, which a file without fault does not
/// have, one is enough.
fn heads(text: &[u8], places: &[Range<usize>]) -> HashMap<Vec<u8>, usize> {
    let heads = places.iter().enumerate().map(|(block, place)| {
        let line = first_line(&text[place.clone()]);
        (line.to_vec(), block)
    });
    heads.collect()
}

fn first_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == b'\n');
    &text[..end.map_or(text.len(), |end| end + 1)]
}

/// Line ends of several kinds are judged in the whole file.
fn has_returns(source: &Source) -> bool {
    source.text().contains(&b'\r')
}

/// Notes whether a name had to be resolved.
struct Witness<'r> {
    resolver: &'r dyn Resolver,
    asked: Cell<bool>,
}

impl<'r> Witness<'r> {
    fn of(resolver: &'r dyn Resolver) -> Self {
        Witness {
            resolver,
            asked: Cell::new(false),
        }
    }
}

impl Resolver for Witness<'_> {
    fn host(&self, name: &str) -> Result<IpAddr, ResolveError> {
        self.asked.set(true);
        self.resolver.host(name)
    }

    fn port(&self, service: &str, protocol: Protocol) -> Result<Option<u16>, ResolveError> {
        self.asked.set(true);
        self.resolver.port(service, protocol)
    }
}

/// Whoever asks for a name takes the long way, where it is asked for again.
struct Nobody;

impl Resolver for Nobody {
    fn host(&self, _: &str) -> Result<IpAddr, ResolveError> {
        Err(ResolveError::NoAddress)
    }

    fn port(&self, _: &str, _: Protocol) -> Result<Option<u16>, ResolveError> {
        Ok(None)
    }
}
