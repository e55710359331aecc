//! Reading the configuration file: the only place where lvs.cf is touched.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use caribe_config::{Config, Mode, Reader, Source, Style, SystemResolver, render};
use tokio::sync::Mutex;

use super::kernel;
use crate::Event;

/// A file that was read.
#[derive(Debug)]
pub(super) enum Loaded {
    /// It is legal.
    Usable {
        config: Box<Config>,
        /// Rendered, one element each.
        warnings: Vec<String>,
        /// What it was read from.
        source: Source,
    },
    /// It has errors, or could not be read.
    Refused {
        /// Rendered, one element each, warnings included.
        diagnostics: Vec<String>,
    },
}

impl From<Loaded> for Event {
    fn from(loaded: Loaded) -> Self {
        match loaded {
            Loaded::Usable {
                config, warnings, ..
            } => Event::ConfigLoaded {
                config,
                warnings,
                forwarding: kernel::forwarding(),
            },
            Loaded::Refused { diagnostics } => Event::ConfigRefused { diagnostics },
        }
    }
}

/// Reads and parses, away from the actor: names in the file may have to be resolved.
///
/// `known` is what was read before; a reader that breaks down is not used again.
pub(super) async fn load(path: PathBuf, known: Arc<Mutex<Reader>>) -> Loaded {
    let mut known = known.lock().await;
    let mut reader = std::mem::take(&mut *known);
    let reading = tokio::task::spawn_blocking(move || (load_now(&path, &mut reader), reader));
    match reading.await {
        Ok((loaded, reader)) => {
            *known = reader;
            loaded
        }
        Err(error) => Loaded::Refused {
            diagnostics: vec![format!(
                "error: reading the configuration broke down: {error}"
            )],
        },
    }
}

fn load_now(path: &Path, reader: &mut Reader) -> Loaded {
    let source = match Source::read(path) {
        Ok(source) => source,
        Err(error) => {
            return Loaded::Refused {
                diagnostics: vec![format!("error: {error}")],
            };
        }
    };
    let parsed = reader.read(&source, Mode::Lenient, &SystemResolver::default());
    let diagnostics = parsed
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let text = render(std::slice::from_ref(diagnostic), &source, Style::Plain);
            text.trim_end().to_owned()
        })
        .collect();
    match parsed.config {
        Some(config) => Loaded::Usable {
            config: Box::new(config),
            warnings: diagnostics,
            source,
        },
        None => Loaded::Refused { diagnostics },
    }
}
