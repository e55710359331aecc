//! What is wrong with a file, or worth knowing about it: one finding per place.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::Mode;
use crate::source::{Source, Span};

/// Most errors, and most warnings, that are reported for one file. Behind the last error that is
/// reported the file is not read; warnings are counted on.
pub(crate) const MAX_OF_A_KIND: usize = 1_000;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file has no meaning until this is mended.
    Error,
    /// The file has a meaning, perhaps not the one that was intended.
    Warning,
    /// The file means what it says, and something better could be said.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// One finding, at one place of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the file, as given to [`Source`].
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters; 0 at the end of a line or file.
    pub length: usize,
    /// What happened, to what, why.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Stable name of the kind of finding, e.g. `unknown-key`.
    pub code: &'static str,
}

impl Diagnostic {
    /// Whether the file has no meaning because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: error: message [code]`, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}: {} [{}]",
            self.file, self.line, self.column, self.severity, self.message, self.code
        )
    }
}

/// Collects findings while a source is read.
pub(crate) struct Report<'s> {
    source: &'s Source,
    mode: Mode,
    diagnostics: Vec<Diagnostic>,
    notes: Vec<Diagnostic>,
    /// Errors found, those beyond [`MAX_OF_A_KIND`] included.
    errors: usize,
    /// Warnings found, likewise.
    warnings: usize,
}

/// A finding just reported, to which a hint can be added.
pub(crate) struct Reported<'r>(Option<&'r mut Diagnostic>);

impl Reported<'_> {
    pub(crate) fn hint(self, hint: impl Into<String>) {
        if let Some(diagnostic) = self.0 {
            diagnostic.hint = Some(hint.into());
        }
    }

    pub(crate) fn maybe_hint(self, hint: Option<String>) {
        if let Some(hint) = hint {
            self.hint(hint);
        }
    }
}

impl<'s> Report<'s> {
    pub(crate) fn new(source: &'s Source, mode: Mode) -> Self {
        Report {
            source,
            mode,
            diagnostics: Vec::new(),
            notes: Vec::new(),
            errors: 0,
            warnings: 0,
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// There are more errors than anyone will read: the rest of the file can be left.
    pub(crate) fn gives_up(&self) -> bool {
        self.errors > MAX_OF_A_KIND
    }

    /// Line of a byte, from 1.
    pub(crate) fn line(&self, span: Span) -> usize {
        self.source.position(span.start).0
    }

    pub(crate) fn error(
        &mut self,
        span: Span,
        code: &'static str,
        message: impl Into<String>,
    ) -> Reported<'_> {
        self.errors += 1;
        if self.errors > MAX_OF_A_KIND {
            return Reported(None);
        }
        self.add(Severity::Error, span, code, message.into())
    }

    pub(crate) fn warning(
        &mut self,
        span: Span,
        code: &'static str,
        message: impl Into<String>,
    ) -> Reported<'_> {
        self.warnings += 1;
        if self.warnings > MAX_OF_A_KIND {
            return Reported(None);
        }
        self.add(Severity::Warning, span, code, message.into())
    }

    /// An error in strict mode and nothing otherwise: what old Piranha refused or misread.
    pub(crate) fn strict(
        &mut self,
        span: Span,
        code: &'static str,
        message: impl Into<String>,
    ) -> Reported<'_> {
        match self.mode {
            Mode::Strict => self.error(span, code, message),
            Mode::Lenient => Reported(None),
        }
    }

    /// A recommendation; those who make them see to it that there are few.
    pub(crate) fn note(
        &mut self,
        span: Span,
        code: &'static str,
        message: impl Into<String>,
    ) -> Reported<'_> {
        self.add(Severity::Note, span, code, message.into())
    }

    /// The recommendations, in the order of the file.
    pub(crate) fn take_notes(&mut self) -> Vec<Diagnostic> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.sort_by_key(|note| (note.line, note.column));
        notes
    }

    fn add(
        &mut self,
        severity: Severity,
        span: Span,
        code: &'static str,
        message: String,
    ) -> Reported<'_> {
        let (line, column) = self.source.position(span.start);
        let all = match severity {
            Severity::Note => &mut self.notes,
            Severity::Error | Severity::Warning => &mut self.diagnostics,
        };
        all.push(Diagnostic {
            severity,
            file: self.source.shared_name(),
            line,
            column,
            length: self.source.characters(span),
            message,
            hint: None,
            code,
        });
        Reported(all.last_mut())
    }

    /// All errors and warnings in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics
            .sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        let (line, column) = self.source.position(self.source.text().len());
        let mut at_the_end = |severity, message: String| {
            self.diagnostics.push(Diagnostic {
                severity,
                file: self.source.shared_name(),
                line,
                column,
                length: 0,
                message,
                hint: Some("mend those above and check again".to_owned()),
                code: "too-many",
            });
        };
        if self.errors > MAX_OF_A_KIND {
            let message = format!("over {MAX_OF_A_KIND} errors: the rest of the file is not read");
            at_the_end(Severity::Error, message);
        }
        if self.warnings > MAX_OF_A_KIND {
            let more = self.warnings - MAX_OF_A_KIND;
            at_the_end(
                Severity::Warning,
                format!("{more} more warnings are not shown: over {MAX_OF_A_KIND} in one file"),
            );
        }
        self.diagnostics
    }
}

/// Text from the file as it is put into a message: in backticks, shortened, with nothing in it
/// that could steer a terminal.
pub(crate) fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    let text = String::from_utf8_lossy(text);
    let mut shown = String::from("`");
    for (count, character) in text.chars().enumerate() {
        if count == LONGEST {
            shown.push('…');
            break;
        }
        if is_steering(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown.push('`');
    shown
}

/// Characters that change how the rest of a line is displayed.
pub(crate) fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_messages_cannot_steer_a_terminal() {
        assert_eq!(shown(b"\x1b[31mred"), "`\\u{1b}[31mred`");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "`a\\u{202e}b`");
        assert_eq!(shown(&[b'x'; 80]), format!("`{}…`", "x".repeat(60)));
    }

    #[test]
    fn findings_beyond_the_limit_are_counted_not_kept() {
        let source = Source::new("lvs.cf", "a\n");
        let at = Span::new(0, 1);
        let mut report = Report::new(&source, Mode::Lenient);
        for _ in 0..MAX_OF_A_KIND + 5 {
            report.warning(at, "test", "odd");
        }
        assert!(!report.has_errors() && !report.gives_up());
        for _ in 0..MAX_OF_A_KIND + 1 {
            report.error(at, "test", "wrong");
        }
        assert!(report.has_errors() && report.gives_up());
        let diagnostics = report.finish();
        assert_eq!(diagnostics.len(), 2 * MAX_OF_A_KIND + 2);
        let last: Vec<&str> = diagnostics[2 * MAX_OF_A_KIND..]
            .iter()
            .map(|found| found.message.as_str())
            .collect();
        assert!(last[0].starts_with("over 1000 errors"), "{last:?}");
        assert!(last[1].starts_with("5 more warnings"), "{last:?}");
    }
}
