//! `docs/figures.md`: a page of sections, each written by the bench that its figures are of.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

/// The sections in the order of the page, and what stands above each.
const SECTIONS: [&str; 4] = ["packet", "table", "monitors", "limits"];

const HEAD: &str = "# Figures\n\nWritten by the benches, never by hand: `cargo xtask bench NAME -- \
                    --write docs/figures.md` writes the section of that name anew. Rerun them on \
                    your machine; what is compared was measured in turns in one run, so that the \
                    ratios hold where the times do not.\n";

/// Puts a bench's figures into the page, and leaves the sections of the others as they are.
pub(crate) fn write(path: &Path, section: &str, text: &str) -> Result<()> {
    let before = match fs::read_to_string(path) {
        Ok(before) => before,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    fs::write(path, replaced(&before, section, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(page: &str, section: &str, text: &str) -> String {
    let mut whole = HEAD.to_owned();
    for name in SECTIONS {
        let (begin, end) = marks(name);
        let old = page
            .split_once(&begin)
            .and_then(|(_, rest)| rest.split_once(&end))
            .map(|(old, _)| old.trim());
        let new = (name == section).then(|| text.trim());
        if let Some(text) = new.or(old) {
            whole += &format!("\n{begin}\n\n{text}\n\n{end}\n");
        }
    }
    whole
}

fn marks(section: &str) -> (String, String) {
    (
        format!("<!-- by `cargo xtask bench {section}` -->"),
        format!("<!-- end of `{section}` -->"),
    )
}

/// A table in Markdown: columns whose heads end in `:` are numbers.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<&str> = cells.collect();
        text += &format!("| {} |\n", cells.join(" | "));
    };
    line(&mut heads.iter().map(|head| head.trim_end_matches(':')));
    line(&mut heads.iter().map(|head| match head.ends_with(':') {
        true => "---:",
        false => "---",
    }));
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// The word for a target.
pub(crate) fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "MISSED" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_replaces_its_own_section_only() {
        let page = replaced("", "monitors", "## Monitors\n\n17 ns\n");
        let page = replaced(&page, "packet", "## Packets\n");
        let page = replaced(&page, "monitors", "## Monitors\n\n18 ns");
        let packets = page.find("## Packets").expect("the first section");
        let monitors = page.find("## Monitors").expect("the second one");
        assert!(packets < monitors);
        assert!(page.contains("18 ns") && !page.contains("17 ns"));
        assert_eq!(page.matches("# Figures").count(), 1);
        assert_eq!(replaced(&page, "packet", "## Packets"), page);
    }

    #[test]
    fn a_table_is_one_in_markdown() {
        let rows = [vec!["a".to_owned(), "1".to_owned()]];
        let text = table(&["name", "count:"], &rows);
        assert_eq!(text, "| name | count |\n| --- | ---: |\n| a | 1 |\n");
    }
}
