//! The digest of everything that the BPF object is made from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::repository::Repository;

/// Files and directories that count, below the repository's root. A change of the build's
/// options counts as well: see [`super::build::OPTIONS`].
///
/// Directories named `bin` do not count: they hold other programs, such as the benchmark's.
const PARTS: [&str; 5] = [
    "crates/caribe-ebpf/Cargo.toml",
    "crates/caribe-ebpf/Cargo.lock",
    "crates/caribe-ebpf/src",
    "crates/caribe-packet/Cargo.toml",
    "crates/caribe-packet/src",
];

/// SHA-256, in hexadecimal, over names and contents.
pub(crate) fn digest(repository: &Repository) -> Result<String> {
    digest_of(repository.root(), &PARTS)
}

/// SHA-256 of bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn digest_of(root: &Path, parts: &[&str]) -> Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(super::build::OPTIONS.join(" "));
    for part in parts {
        let mut files = Vec::new();
        collect(&root.join(part), &mut files)?;
        files.sort();
        for file in files {
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy();
            let content =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            // Lengths keep a name's end apart from its content's start.
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update((content.len() as u64).to_le_bytes());
            hasher.update(content);
        }
    }
    Ok(hexadecimal(&hasher.finalize()))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = || format!("cannot read {}", path.display());
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if path.ends_with("bin") {
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(failed)? {
        collect(&entry.with_context(failed)?.path(), files)?;
    }
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_contents_count() {
        let root = tempfile::tempdir().expect("a directory");
        let digest = || digest_of(root.path(), &["src"]).expect("a digest");
        fs::create_dir_all(root.path().join("src/deep")).expect("a directory");
        fs::write(root.path().join("src/deep/a.rs"), "one").expect("a file");
        let first = digest();
        assert_eq!(first, digest());
        fs::create_dir(root.path().join("src/bin")).expect("a directory");
        fs::write(root.path().join("src/bin/bench.rs"), "other").expect("a file");
        assert_eq!(first, digest());
        fs::write(root.path().join("src/deep/a.rs"), "two").expect("a file");
        let second = digest();
        assert_ne!(first, second);
        fs::rename(
            root.path().join("src/deep/a.rs"),
            root.path().join("src/b.rs"),
        )
        .expect("a rename");
        assert_ne!(second, digest());
    }
}
