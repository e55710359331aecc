//! Every dependency is under a licence that `deny.toml` allows. cargo-deny reads the same file
//! and checks more (advisories, duplicates), but takes minutes to install.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};
use xshell::{Shell, cmd};

use crate::repository::Repository;

/// What counts here of `deny.toml`.
#[derive(Debug, Deserialize)]
struct Policy {
    licenses: Licenses,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

/// What counts here of `cargo metadata`.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

/// Checks the workspace and the package of the XDP programs.
pub(super) fn check(repository: &Repository) -> Result<String> {
    let path = repository.root().join("deny.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let policy: Policy =
        toml::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))?;
    let allowed = policy
        .licenses
        .allow
        .iter()
        .map(|name| Licensee::parse(name).with_context(|| format!("deny.toml allows `{name}`")))
        .collect::<Result<Vec<_>>>()?;
    let mut packages = packages(&repository.root().join("Cargo.toml"))?;
    packages.extend(self::packages(&repository.ebpf().join("Cargo.toml"))?);
    let refused: BTreeSet<String> = packages
        .iter()
        .filter(|package| !is_allowed(package.license.as_deref(), &allowed))
        .map(|package| {
            let licence = package.license.as_deref().unwrap_or("no licence");
            format!("{} {} ({licence})", package.name, package.version)
        })
        .collect();
    if refused.is_empty() {
        return Ok(format!("{} packages", packages.len()));
    }
    bail!(
        "not allowed by deny.toml: {}",
        refused.into_iter().collect::<Vec<_>>().join(", ")
    );
}

/// The package and all that it depends on, on the platforms that Caribe runs on.
fn packages(manifest: &Path) -> Result<Vec<Package>> {
    let shell = Shell::new()?;
    let said = cmd!(
        shell,
        "cargo metadata --format-version 1 --locked --filter-platform x86_64-unknown-linux-gnu --manifest-path {manifest}"
    )
    .quiet()
    .ignore_stderr()
    .read()
    .with_context(|| format!("cannot list the dependencies of {}", manifest.display()))?;
    let metadata: Metadata =
        serde_json::from_str(&said).context("cannot understand cargo metadata")?;
    Ok(metadata.packages)
}

fn is_allowed(licence: Option<&str>, allowed: &[Licensee]) -> bool {
    // Old packages write `MIT/Apache-2.0` for `MIT OR Apache-2.0`.
    let mode = ParseMode {
        allow_slash_as_or_operator: true,
        ..ParseMode::STRICT
    };
    licence
        .and_then(|licence| Expression::parse_mode(licence, mode).ok())
        .is_some_and(|expression| {
            expression.evaluate(|wanted| allowed.iter().any(|licensee| licensee.satisfies(wanted)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_allowed_alternative_is_enough() {
        let allowed = [Licensee::parse("MIT").expect("a licence")];
        assert!(is_allowed(Some("MIT OR GPL-3.0-only"), &allowed));
        assert!(is_allowed(Some("MIT/Apache-2.0"), &allowed));
        assert!(!is_allowed(Some("MIT AND GPL-3.0-only"), &allowed));
        assert!(!is_allowed(Some("GPL-2.0-only"), &allowed));
        assert!(!is_allowed(None, &allowed));
    }
}
