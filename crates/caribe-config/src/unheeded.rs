//! Keys and blocks that nothing acts on yet: named once in a file, so that nobody relies on them.

use std::collections::BTreeMap;

use crate::diagnostic::Report;
use crate::keys::{Effect, Place, Topic};
use crate::settings::{Assigned, Section};
use crate::source::Span;
use crate::value::constant;

/// Lines that are listed for a key; of more only the number is told.
const LISTED_LINES: usize = 3;

/// Reports one warning for each topic, with all its keys that ask for something.
pub(crate) fn name(settings: &Section<'_>, report: &mut Report<'_>) {
    let mut found: BTreeMap<Topic, Vec<Unheeded>> = BTreeMap::new();
    collect(settings, &mut found);
    for (topic, mut statements) in found {
        statements.sort_by_key(|unheeded| unheeded.span.start);
        let first = statements[0].span; // a topic is there because of a statement
        let mut lines: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut order: Vec<&str> = Vec::new();
        for unheeded in &statements {
            let name = unheeded.name.as_str();
            let lines = lines.entry(name).or_insert_with(|| {
                order.push(name);
                Vec::new()
            });
            lines.push(report.line(unheeded.span));
        }
        let keys: Vec<String> = order
            .iter()
            .map(|name| format!("`{name}` ({})", places(&lines[name])))
            .collect();
        warn(topic, &keys.join(", "), first, report);
    }
}

fn warn(topic: Topic, keys: &str, at: Span, report: &mut Report<'_>) {
    let message = match topic {
        Topic::Obsolete => format!("nothing acts on {keys}"),
        _ => format!("nothing in this release acts on {keys}"),
    };
    report
        .warning(at, "no-effect", message)
        .hint(topic.consequence());
}

/// A statement or block that nothing acts on.
struct Unheeded {
    name: String,
    span: Span,
}

fn collect(section: &Section<'_>, found: &mut BTreeMap<Topic, Vec<Unheeded>>) {
    // The whole block is ignored, with a warning of its own.
    if section.place == Place::Failover {
        return;
    }
    for assigned in section.assigned() {
        if let Effect::NotYet(topic) = assigned.key.effect
            && !asks_for_nothing(assigned)
        {
            found.entry(topic).or_default().push(Unheeded {
                name: assigned.key.name.to_owned(),
                span: assigned.key_span,
            });
        }
    }
    for child in &section.children {
        collect(child, found);
    }
}

fn asks_for_nothing(assigned: &Assigned) -> bool {
    let key = assigned.key;
    let default = match key.default {
        crate::keys::Fallback::Value(value) => Some(value),
        _ => None,
    };
    key.neutral
        .iter()
        .chain(&default)
        .any(|neutral| constant(key.kind, neutral).as_ref() == Some(&assigned.value))
}

fn places(lines: &[usize]) -> String {
    let listed: Vec<String> = lines
        .iter()
        .take(LISTED_LINES)
        .map(ToString::to_string)
        .collect();
    let word = match lines.len() {
        1 => "line",
        _ => "lines",
    };
    match lines.len().saturating_sub(LISTED_LINES) {
        0 => format!("{word} {}", listed.join(", ")),
        more => format!("{word} {} and {more} more", listed.join(", ")),
    }
}
