//! Figures for a terminal, and for `docs/figures.md`.

use std::fmt;

use crate::sample::Samples;

/// What a bench found.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    groups: Vec<Group>,
    notes: Vec<String>,
    /// Requirements that are not rows.
    missed: bool,
}

#[derive(Debug)]
struct Group {
    title: String,
    /// Nanoseconds that were subtracted.
    sink: f64,
    rows: Vec<Row>,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    /// Nanoseconds per packet above the sink.
    pub(crate) net: Samples,
    /// Times the reference.
    pub(crate) ratio: f64,
    /// Whether its target holds, if it has one.
    pub(crate) holds: Option<bool>,
}

impl Figures {
    /// Starts a group.
    pub(crate) fn group(&mut self, title: &str, sink: f64) {
        self.groups.push(Group {
            title: title.to_owned(),
            sink,
            rows: Vec::new(),
        });
    }

    /// Adds a row to the last group.
    pub(crate) fn row(&mut self, row: Row) {
        if let Some(group) = self.groups.last_mut() {
            group.rows.push(row);
        }
    }

    /// Adds a line below the groups.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Notes a requirement that is not a row.
    pub(crate) fn require(&mut self, holds: bool) {
        self.missed |= !holds;
    }

    /// True when every target was reached.
    pub(crate) fn all_hold(&self) -> bool {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        !self.missed && rows.into_iter().all(|row| row.holds != Some(false))
    }

    /// The figures as a page.
    pub(crate) fn markdown(&self) -> String {
        let mut page = String::from(
            "## Packets\n\nTimes are nanoseconds per packet above the sink (the same frame \
             through the same generator into a program that does nothing): the median of \
             interleaved rounds, and the range. The ratio is to the reference of the same group, \
             which parses and asks the kernel's hash map with keys, values and capacity like \
             ours.\n",
        );
        for group in &self.groups {
            page += &format!("\n### {}\n\n", capitalized(&group.title));
            page += "| program | ns above the sink | range | ratio | target |\n";
            page += "| --- | ---: | ---: | ---: | --- |\n";
            for row in &group.rows {
                let (low, high) = row.net.range();
                page += &format!(
                    "| {} | {:.0} | {low:.0} to {high:.0} | {:.2} | {} |\n",
                    row.name,
                    row.net.median(),
                    row.ratio,
                    verdict(row.holds)
                );
            }
            page += &format!("\nSink: {:.0} ns.\n", group.sink);
        }
        page += "\n### Notes\n\n";
        for note in &self.notes {
            page += &format!("- {note}\n");
        }
        page
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            writeln!(f, "{} (sink {:.0} ns)", group.title, group.sink)?;
            for row in &group.rows {
                let (low, high) = row.net.range();
                writeln!(
                    f,
                    "  {:32} {:7.0} ns  ({low:.0} to {high:.0})  {:5.2}x  {}",
                    row.name,
                    row.net.median(),
                    row.ratio,
                    verdict(row.holds)
                )?;
            }
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}

fn verdict(holds: Option<bool>) -> &'static str {
    match holds {
        Some(true) => "holds",
        Some(false) => "MISSED",
        None => "",
    }
}

fn capitalized(title: &str) -> String {
    let mut characters = title.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}
