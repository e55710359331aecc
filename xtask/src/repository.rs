//! Where things are in the checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The checkout that this program was built from.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    root: PathBuf,
}

impl Repository {
    /// Finds it from cargo's word for this package, or from where it was compiled.
    pub(crate) fn find() -> Result<Repository> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .context("the xtask package has no directory above it")?
            .to_owned();
        Ok(Repository { root })
    }

    /// The root of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory.
    pub(crate) fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from)
    }

    /// The package of the XDP programs.
    pub(crate) fn ebpf(&self) -> PathBuf {
        self.root.join("crates/caribe-ebpf")
    }

    /// Unpacked kernels for the emulated guest; shared with the lab's own tests.
    pub(crate) fn kernels(&self) -> PathBuf {
        self.target().join("tmp/guest")
    }
}
