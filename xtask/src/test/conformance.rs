//! The numbered cases of IPVS's behaviour: each has a test that carries its number, or a reason.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

use crate::repository::Repository;

/// Where the cases are listed.
const LIST: &str = "docs/conformance.md";

/// A row that begins so in its last column says why there is no test.
const EXCUSES: [&str; 2] = ["does not apply:", "not built yet:"];

/// Checks that every case of the list is tested or excused, and no test claims one that is not
/// listed.
pub(super) fn check(shell: &Shell, repository: &Repository) -> Result<String> {
    let list = std::fs::read_to_string(repository.root().join(LIST))
        .with_context(|| format!("cannot read {LIST}"))?;
    let cases = cases(&list)?;
    let names = cmd!(
        shell,
        "cargo test --quiet --workspace --lib --bins --tests -- --list"
    )
    .quiet()
    .ignore_stderr()
    .read()
    .context("cannot list the tests")?;
    let tested: BTreeSet<u32> = names.lines().flat_map(numbers).collect();
    let problems = problems(&cases, &tested);
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    let excused = cases.values().filter(|excused| **excused).count();
    Ok(format!(
        "{} cases tested, {excused} do not apply or are not built yet",
        cases.len() - excused
    ))
}

/// The cases of the list, and whether each is excused.
fn cases(list: &str) -> Result<BTreeMap<u32, bool>> {
    let mut cases = BTreeMap::new();
    for line in list.lines() {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let Some(number) = cells.next().and_then(|cell| cell.parse().ok()) else {
            continue;
        };
        let excused = cells.next_back().is_some_and(|cell| {
            EXCUSES
                .iter()
                .filter_map(|excuse| cell.strip_prefix(excuse))
                .any(|reason| !reason.trim().is_empty())
        });
        if cases.insert(number, excused).is_some() {
            bail!("{LIST} lists case {number} twice");
        }
    }
    ensure!(!cases.is_empty(), "{LIST} lists no case");
    Ok(cases)
}

/// The numbers in the name of a test, as in `listings::case_46_the_listing: test`, or in
/// `case_94_98 effective mtu: test`, which shows two.
fn numbers(line: &str) -> Vec<u32> {
    let Some((_, rest)) = line.strip_suffix(": test").and_then(|name| {
        name.split_once("case_")
            .or_else(|| name.split_once("case "))
    }) else {
        return Vec::new();
    };
    rest.split(['_', ' '])
        .map_while(|word| word.parse().ok())
        .collect()
}

fn problems(cases: &BTreeMap<u32, bool>, tested: &BTreeSet<u32>) -> Vec<String> {
    let listed =
        cases
            .iter()
            .filter_map(|(case, excused)| match (excused, tested.contains(case)) {
                (false, false) => Some(format!("no test carries the number of case {case}")),
                (true, true) => Some(format!("case {case} is tested and said not to be")),
                _ => None,
            });
    let unlisted = tested
        .iter()
        .filter(|case| !cases.contains_key(case))
        .map(|case| format!("a test carries number {case}, which {LIST} does not list"));
    listed.chain(unlisted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
| case | what | expected | |
| --- | --- | --- | --- |
| 1 | a | b | |
| 2 | a | b | does not apply: there is no such thing here |
| 3 | a | b | does not apply: |
";

    #[test]
    fn a_row_is_a_case_and_a_reason_is_an_excuse() {
        let expected = BTreeMap::from([(1, false), (2, true), (3, false)]);
        assert_eq!(cases(TABLE).expect("a list"), expected);
        assert!(cases("no table").is_err());
        assert!(cases(&format!("{TABLE}| 1 | again | | |")).is_err());
    }

    #[test]
    fn numbers_are_in_names() {
        assert_eq!(numbers("packet::case_87_no_syn v4: test"), [87]);
        assert_eq!(numbers("case 119 in turn: test"), [119]);
        assert_eq!(numbers("case_94_98 effective mtu: test"), [94, 98]);
        assert!(numbers("case_87_no_syn: benchmark").is_empty());
        assert!(numbers("any_case_will_do: test").is_empty());
    }

    #[test]
    fn what_is_missing_or_too_much_is_told() {
        let cases = cases(TABLE).expect("a list");
        let told = problems(&cases, &BTreeSet::from([1, 2, 4]));
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(problems(&cases, &BTreeSet::from([1, 3])).is_empty());
    }
}
