//! A target with what it takes to get there.

use std::ops::Deref;

use super::Target;
use crate::path::DataPath;

/// Whom a probe is addressed to, and the data path if there is one. It is used as its target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    target: &'a Target,
    path: Option<&'a DataPath>,
}

impl<'a> Way<'a> {
    pub(super) fn new(target: &'a Target, path: Option<&'a DataPath>) -> Self {
        Way { target, path }
    }

    /// By whatever way the kernel takes.
    pub(super) fn plain(target: &'a Target) -> Self {
        Way { target, path: None }
    }

    pub(super) fn path(&self) -> Option<&'a DataPath> {
        self.path
    }
}

impl Deref for Way<'_> {
    type Target = Target;

    fn deref(&self) -> &Target {
        self.target
    }
}
