//! A table that was changed by hand, written back: the pure part of `caribe save`.
//!
//! [`save`] changes as little as it can: a value where it stands, a block at the end of those
//! like it. What is no longer in the table is not cut out but made inactive, so that its comments
//! and its other settings stay, and so that a table which is cleared and filled again gives the
//! same file. The new text is read again before it is handed out: it means what the table holds,
//! or there is none.

mod attributes;
mod layout;
mod servers;
mod services;

use std::collections::HashSet;

use caribe_model::{ServiceKey, Table};

use crate::resolver::Resolver;
use crate::source::Source;
use crate::tree::EditError;
use crate::{Mode, parse};

use layout::Layout;

/// A file that says what the table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its text; that of the old file, byte for byte, where nothing differs.
    pub text: Vec<u8>,
    /// What could not be written down. The rest of the table is in the text.
    pub unsaved: Vec<Unsaved>,
}

/// A service that no block can stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaved {
    /// The service.
    pub service: ServiceKey,
    /// Why not, and what to do.
    pub reason: &'static str,
}

/// Why nothing can be saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaveError {
    /// The file has errors.
    #[error("{file} has errors and cannot be changed: `caribe check` shows them")]
    Broken {
        /// Name of the file.
        file: String,
    },
    /// Something cannot be written in lvs.cf.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The new text would be refused.
    #[error("the table cannot be saved: the file would be refused ({why})")]
    Refused {
        /// The first error.
        why: String,
    },
    /// The new text would mean something else than the table.
    #[error(
        "virtual service {service} cannot be saved: the file would not mean what the table holds \
         ({why})"
    )]
    Unfaithful {
        /// The service.
        service: ServiceKey,
        /// What would be wrong.
        why: &'static str,
    },
}

/// Writes a table into the text of its configuration.
///
/// `wanted` is the table as it would be with every server up: the file's own with the changes by
/// hand, before any monitor's verdict. `interface` carries the VIPs of services for which no
/// block names one.
///
/// # Errors
///
/// Refuses a text with errors, and a table that lvs.cf cannot express; see [`SaveError`].
pub fn save(
    source: &Source,
    wanted: &Table,
    interface: Option<&str>,
    resolver: &dyn Resolver,
) -> Result<Saved, SaveError> {
    let mut layout = Layout::read(source, resolver).ok_or_else(|| SaveError::Broken {
        file: source.name().to_owned(),
    })?;
    let mut unsaved = Vec::new();
    layout.deactivate_others(wanted)?;
    for (key, service) in wanted.services() {
        if layout.says(key, service) {
            continue;
        }
        let place = match (attributes::fault(service), layout.place(key)) {
            (Some(reason), _) => Err(reason),
            (None, Some(place)) => Ok(place),
            (None, None) => layout.add(key, interface)?,
        };
        match place {
            Ok(place) => layout.write(&place, service)?,
            Err(reason) => unsaved.push(Unsaved {
                service: *key,
                reason,
            }),
        }
    }
    let text = layout.document.to_bytes();
    let left_out: HashSet<ServiceKey> = unsaved.iter().map(|unsaved| unsaved.service).collect();
    prove(source, &text, wanted, &left_out, resolver)?;
    Ok(Saved { text, unsaved })
}

/// The new text means what the table holds, but for what could not be saved.
fn prove(
    source: &Source,
    text: &[u8],
    wanted: &Table,
    left_out: &HashSet<ServiceKey>,
    resolver: &dyn Resolver,
) -> Result<(), SaveError> {
    let source = Source::new(source.name(), text);
    let Some(layout) = Layout::read(&source, resolver) else {
        let parsed = parse(&source, Mode::Lenient, resolver);
        let error = parsed.diagnostics.iter().find(|found| found.is_error());
        return Err(SaveError::Refused {
            why: error.map(ToString::to_string).unwrap_or_default(),
        });
    };
    let unfaithful = |service: ServiceKey, why| Err(SaveError::Unfaithful { service, why });
    for (key, service) in wanted.services() {
        if !left_out.contains(key) && !layout.says(key, service) {
            return unfaithful(*key, "servers or settings differ");
        }
    }
    let services = &layout.config.services;
    let active = services.iter().filter(|service| service.active);
    let mut keys = active.map(|service| service.key());
    match keys.find(|key| wanted.service(key).is_none()) {
        Some(key) => unfaithful(key, "the service is still there"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
