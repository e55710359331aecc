//! A file as it is written and as it is meant, and which block means what.

use std::collections::HashMap;

use caribe_model::{Defence, Service, ServiceKey, Table};

use crate::Mode;
use crate::config::Config;
use crate::diagnostic::Report;
use crate::resolver::Resolver;
use crate::settings::Section;
use crate::source::Source;
use crate::tree::{Block, Document, EditError};
use crate::{checks, meaning, settings};

/// The tree of a file, with what its blocks mean.
pub(super) struct Layout {
    pub(super) document: Document,
    pub(super) config: Config,
    /// For each service of the configuration, the position of its block among the outer blocks,
    /// and of its servers' blocks among those inside.
    pub(super) places: Vec<BlockPlace>,
    /// The services of the configuration by what they are in the table, active ones first.
    by_key: HashMap<ServiceKey, Vec<usize>>,
}

/// Where the block of a service stands.
pub(super) struct BlockPlace {
    pub(super) block: usize,
    pub(super) servers: Vec<usize>,
}

impl Layout {
    /// `None` when there are errors.
    pub(super) fn read(source: &Source, resolver: &dyn Resolver) -> Option<Layout> {
        let mut report = Report::new(source, Mode::Lenient);
        let document = Document::build(source, &mut report);
        let read = settings::settings(&document, resolver, &mut report);
        let mut meaning = meaning::meaning(&read, resolver, &mut report);
        checks::check(&read, &mut meaning, &mut report);
        if report.has_errors() {
            return None;
        }
        let outer = positions(document.body().blocks());
        let places = meaning.origins.iter().map(|origin| {
            let inner = positions(origin.section.block?.body().blocks());
            let servers = origin.servers.iter();
            Some(BlockPlace {
                block: position(&outer, origin.section)?,
                servers: servers
                    .map(|server| position(&inner, server))
                    .collect::<Option<_>>()?,
            })
        });
        let places = places.collect::<Option<Vec<_>>>()?;
        let config = meaning.config;
        let mut by_key: HashMap<ServiceKey, Vec<usize>> = HashMap::new();
        for active in [true, false] {
            for (at, service) in config.services.iter().enumerate() {
                if service.active == active {
                    by_key.entry(service.key()).or_default().push(at);
                }
            }
        }
        Some(Layout {
            document,
            config,
            places,
            by_key,
        })
    }

    /// The blocks of a service: all active ones, or else the first inactive one.
    pub(super) fn place(&self, key: &ServiceKey) -> Option<Vec<usize>> {
        let all = self.by_key.get(key)?;
        let active = all.iter().filter(|at| self.config.services[**at].active);
        let active: Vec<usize> = active.copied().collect();
        match active.is_empty() {
            true => all.first().map(|first| vec![*first]),
            false => Some(active),
        }
    }

    /// Whether the file says that a service is so; the order of its servers aside.
    pub(super) fn says(&self, key: &ServiceKey, service: &Service) -> bool {
        let blocks = self.place(key).unwrap_or_default();
        let mut blocks = blocks.iter().map(|at| &self.config.services[*at]);
        let Some(first) = blocks.next().filter(|first| first.active) else {
            return false;
        };
        let mut said = first.service();
        said.servers
            .extend(blocks.flat_map(|block| block.service().servers));
        let mut service = service.clone();
        if first.secure_tcp == Defence::Automatic {
            // What is in effect is not what is configured.
            said.policy.secure_tcp = service.policy.secure_tcp;
        }
        said.servers.sort_by_key(|server| server.key);
        service.servers.sort_by_key(|server| server.key);
        said == service
    }

    /// Makes the services inactive that the table does not hold.
    pub(super) fn deactivate_others(&mut self, wanted: &Table) -> Result<(), EditError> {
        for at in 0..self.config.services.len() {
            let service = &self.config.services[at];
            if service.active && wanted.service(&service.key()).is_none() {
                self.block(at)?.set("active", &["0"])?;
            }
        }
        Ok(())
    }

    /// The block of a service.
    pub(super) fn block(&mut self, at: usize) -> Result<&mut Block, EditError> {
        let position = self.places[at].block;
        let block = self.document.body_mut().blocks_mut().nth(position);
        block.ok_or(EditError::NoSuchBlock)
    }
}

/// Blocks by where their names stand, which is unique.
fn positions<'b>(blocks: impl Iterator<Item = &'b Block>) -> HashMap<usize, usize> {
    blocks
        .enumerate()
        .map(|(at, block)| (block.name_span().start, at))
        .collect()
}

fn position(positions: &HashMap<usize, usize>, section: &Section<'_>) -> Option<usize> {
    positions.get(&section.block?.name_span().start).copied()
}
