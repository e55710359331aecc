//! lvs.cf, the one configuration language: text to a tree with comments, the tree to a
//! [`Config`], and everything that is wrong on the way as [`Diagnostic`]s with line, column and
//! hint, all at once.
//!
//! This crate is not a daemon's reload: it opens no socket and asks for names only through the
//! [`Resolver`] it is given, and what to do with a [`Config`] is for `caribe-director` to know.
//!
//! Start at [`parse`], which shows the stages in order; each has a file named after it: `lexer`,
//! [`tree`], `settings` (by the one table of [`keys`]), `meaning`, `checks`, `unheeded`. What a
//! file can say is in [`config`], and for people in [`reference()`]. The other way round, [`save`]
//! writes a table into a file, and [`import`] makes `mark` blocks of netfilter's rules.
#![forbid(unsafe_code)]

mod checks;
pub mod config;
mod diagnostic;
pub mod import;
pub mod keys;
mod lexer;
mod literal;
mod meaning;
mod network;
mod port_set;
mod reference;
mod render;
mod reread;
mod resemblance;
mod resolver;
pub mod save;
mod settings;
mod source;
mod system_resolver;
mod text;
pub mod tree;
mod unheeded;
mod value;

pub use config::Config;
pub use diagnostic::{Diagnostic, Severity};
pub use reference::reference;
pub use render::{Style, render};
pub use reread::{Reader, Reading};
pub use resolver::{FixedResolver, ResolveError, Resolver};
pub use source::{ReadError, Source};
pub use system_resolver::SystemResolver;

use diagnostic::Report;
use source::Span;
use tree::Document;

/// How a file is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Everything that has a clear meaning is accepted.
    #[default]
    Lenient,
    /// What Piranha 0.8.6 would have refused or misread is an error as well, Caribe's own keys
    /// included: for a file that both must read.
    Strict,
}

/// What [`parse`] found.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The configuration; `None` exactly when there is an error among the diagnostics.
    pub config: Option<Config>,
    /// All errors and warnings, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// Recommendations, for whoever checks a file: where what it asks for, mostly by IPVS's
    /// defaults, is known to hurt. There are none for a file with errors, and none in strict mode,
    /// in which they could not be followed.
    pub notes: Vec<Diagnostic>,
}

/// Reads a configuration. Every error is found in one go; a file with one has no configuration.
pub fn parse(source: &Source, mode: Mode, resolver: &dyn Resolver) -> Parsed {
    let mut report = Report::new(source, mode);
    let found = read(source, resolver, &mut report);
    Parsed {
        config: found
            .map(|(config, _)| config)
            .filter(|_| !report.has_errors()),
        notes: report.take_notes(),
        diagnostics: report.finish(),
    }
}

fn read(
    source: &Source,
    resolver: &dyn Resolver,
    report: &mut Report<'_>,
) -> Option<(Config, Document)> {
    let start = Span::new(0, 0);
    if source.text().len() > Source::MAX_SIZE {
        let message = format!("the file is larger than {} bytes", Source::MAX_SIZE);
        report
            .error(start, "file-too-large", message)
            .hint("is this a configuration file?");
        return None;
    }
    let document = Document::build(source, report);
    if document.body().is_empty() && !report.has_errors() {
        report
            .error(start, "empty", "the configuration is empty")
            .hint("write at least one `virtual NAME {` block");
        return None;
    }
    if report.gives_up() {
        return None;
    }
    let settings = settings::settings(&document, resolver, report);
    let mut meaning = meaning::meaning(&settings, resolver, report);
    checks::check(&settings, &mut meaning, report);
    unheeded::name(&settings, report);
    let config = meaning.config;
    Some((config, document))
}
