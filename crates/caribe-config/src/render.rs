//! Diagnostics as a person reads them: place, message, the line with a caret, the hint.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use anstyle::AnsiColor;

use crate::diagnostic::{Diagnostic, Severity, is_steering};
use crate::source::Source;

/// Characters of a line that are shown after the marked piece.
const CONTEXT: usize = 120;

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Text alone.
    #[default]
    Plain,
    /// ANSI colours, for a terminal.
    Coloured,
}

/// All diagnostics, one after the other, with a blank line between two.
///
/// The first line of each is `file:line:column: error: message [code]`, so that editors and grep
/// find it; the source line with a caret and the hint follow.
pub fn render(diagnostics: &[Diagnostic], source: &Source, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    let mut text = String::new();
    for diagnostic in diagnostics {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&first_line(diagnostic, style));
        text.push('\n');
        text.push_str(&snippet(diagnostic, source, &renderer));
        text.push('\n');
    }
    text
}

fn first_line(diagnostic: &Diagnostic, style: Style) -> String {
    let line = diagnostic.to_string();
    let colour = match (style, diagnostic.severity) {
        (Style::Plain, _) => return line,
        (Style::Coloured, Severity::Error) => AnsiColor::BrightRed,
        (Style::Coloured, Severity::Warning) => AnsiColor::Yellow,
        (Style::Coloured, Severity::Note) => AnsiColor::BrightCyan,
    }
    .on_default()
    .bold();
    let severity = diagnostic.severity;
    let word = format!(": {severity}: ");
    line.replacen(&word, &format!(": {colour}{severity}{colour:#}: "), 1)
}

fn snippet(diagnostic: &Diagnostic, source: &Source, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let line: String = String::from_utf8_lossy(source.line(diagnostic.line))
        .chars()
        .take(diagnostic.column + diagnostic.length + CONTEXT)
        .map(|character| match character {
            '\t' => character,
            _ if is_steering(character) => char::REPLACEMENT_CHARACTER,
            _ => character,
        })
        .collect();
    let marked = marked(&line, diagnostic);
    let mut group = Group::with_level(level).element(
        Snippet::source(line)
            .line_start(diagnostic.line)
            .annotation(AnnotationKind::Primary.span(marked)),
    );
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    renderer.render(&[group])
}

/// The marked piece as byte offsets in the line that is shown.
fn marked(line: &str, diagnostic: &Diagnostic) -> Range<usize> {
    let offset = |characters: usize| {
        line.char_indices()
            .nth(characters)
            .map_or(line.len(), |(at, _)| at)
    };
    let start = offset(diagnostic.column - 1);
    start..offset(diagnostic.column - 1 + diagnostic.length).max(start)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn diagnostic(line: usize, column: usize, length: usize) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: Arc::from("lvs.cf"),
            line,
            column,
            length,
            message: "unknown key `prot`".to_owned(),
            hint: Some("did you mean `port`?".to_owned()),
            code: "unknown-key",
        }
    }

    #[test]
    fn the_first_line_is_greppable_and_the_caret_points() {
        let source = Source::new("lvs.cf", "virtual a {\n    prot = 80\n}\n");
        let text = render(&[diagnostic(2, 5, 4)], &source, Style::Plain);
        assert_eq!(
            text,
            "lvs.cf:2:5: error: unknown key `prot` [unknown-key]\n  \
             |\n\
             2 |     prot = 80\n  \
             |     ^^^^\n  \
             |\n  \
             = help: did you mean `port`?\n"
        );
    }

    #[test]
    fn colours_change_nothing_but_colour() {
        let source = Source::new("lvs.cf", "virtual a {\n    prot = 80\n}\n");
        let found = [diagnostic(2, 5, 4)];
        let plain = render(&found, &source, Style::Plain);
        let coloured = render(&found, &source, Style::Coloured);
        assert!(coloured.starts_with("lvs.cf:2:5: \u{1b}["), "{coloured:?}");
        let bare: String = without_colours(&coloured);
        assert_eq!(bare, plain);
    }

    /// Takes `ESC [ ... m` out.
    fn without_colours(text: &str) -> String {
        let mut pieces = text.split("\u{1b}[");
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |bare, piece| {
            bare + piece.split_once('m').map_or("", |(_, rest)| rest)
        })
    }

    #[test]
    fn the_end_of_a_file_can_be_marked() {
        let source = Source::new("lvs.cf", "virtual a {");
        let text = render(&[diagnostic(1, 12, 0)], &source, Style::Plain);
        assert!(text.contains("1 | virtual a {\n  |            ^"), "{text}");
    }

    #[test]
    fn a_line_cannot_steer_the_terminal() {
        let source = Source::new("lvs.cf", b"a\x1b[2J\xff\xfe = \x07\n".to_vec());
        let text = render(&[diagnostic(1, 1, 1)], &source, Style::Plain);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    }
}
