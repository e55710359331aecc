//! `caribe save`: what was changed by hand, written into the configuration file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use caribe_config::save::{SaveError, save};
use caribe_config::{Source, SystemResolver};
use caribe_model::Table;

use crate::SaveReport;

/// Why nothing was saved; the file is as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum SavingError {
    /// The file is not the one that the director runs by.
    #[error(
        "{} was changed since the director loaded it: reload it first (the changes by hand stay \
         with `keep_overrides = 1`), or write them down yourself", .0.display()
    )]
    Changed(PathBuf),
    /// The file could not be read.
    #[error(transparent)]
    Read(#[from] caribe_config::ReadError),
    /// The table cannot be written down.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The file could not be replaced.
    #[error("cannot {action} {}: {source}", path.display())]
    Write {
        /// What was tried; completes "cannot".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Writes `wanted` into the file at `path`, which must be what `loaded` was read from.
pub(super) fn save_now(
    path: &Path,
    loaded: &Source,
    wanted: &Table,
    interface: Option<&str>,
) -> Result<SaveReport, SavingError> {
    let source = Source::read(path)?;
    if source.text() != loaded.text() {
        return Err(SavingError::Changed(path.to_owned()));
    }
    let saved = save(&source, wanted, interface, &SystemResolver::default())?;
    let changed = saved.text != source.text();
    if changed {
        replace(path, &saved.text)?;
    }
    let unsaved = saved.unsaved.iter();
    Ok(SaveReport {
        file: path.display().to_string(),
        changed,
        unsaved: unsaved
            .map(|unsaved| format!("{}: {}", unsaved.service, unsaved.reason))
            .collect(),
    })
}

/// Replaces a file, so that whoever reads it sees the old text or the new one, and a crash leaves
/// either. Mode and owner stay; a symbolic link goes on to lead to the file.
fn replace(path: &Path, text: &[u8]) -> Result<(), SavingError> {
    let failed = |action: &'static str| {
        move |source| SavingError::Write {
            action,
            path: path.to_owned(),
            source,
        }
    };
    let target = fs::canonicalize(path).map_err(failed("find"))?;
    let metadata = fs::metadata(&target).map_err(failed("look at"))?;
    // A file has a directory.
    let directory = target.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::Builder::new()
        .prefix(".lvs.cf.")
        .tempfile_in(directory)
        .map_err(failed("write beside"))?;
    let file = new.as_file_mut();
    file.write_all(text).map_err(failed("write beside"))?;
    fchown(&*file, Some(metadata.uid()), Some(metadata.gid()))
        .map_err(failed("keep the owner of"))?;
    file.set_permissions(metadata.permissions())
        .map_err(failed("keep the mode of"))?;
    file.sync_all().map_err(failed("write beside"))?;
    new.persist(&target)
        .map_err(|error| failed("replace")(error.error))?;
    let directory = File::open(directory).map_err(failed("write the directory of"))?;
    directory
        .sync_all()
        .map_err(failed("write the directory of"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use caribe_config::{FixedResolver, Mode, parse};

    use super::*;
    use crate::Intent;

    const FILE: &str = "\
serial_no = 1
network = direct
virtual shop { # the shop
\tactive = 1
\taddress = 192.0.2.1 eth0:1
\tport = 80
\tserver web1 {
\t\tactive = 1
\t\taddress = 10.0.0.1
\t\tweight = 1 # for now
\t}
}
";

    /// The file in a directory, and its table with another weight.
    fn begin() -> (tempfile::TempDir, PathBuf, Source, Table) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lvs.cf");
        fs::write(&path, FILE).expect("written");
        let source = Source::read(&path).expect("readable");
        let parsed = parse(&source, Mode::Lenient, &FixedResolver::default());
        let intent = Intent::new(&parsed.config.expect("legal"), &[]).expect("usable");
        let mut table = Table::default();
        for wanted in &intent.services {
            let service = wanted.with(|_| Some(7));
            table.insert(wanted.key, service).expect("legal");
        }
        (directory, path, source, table)
    }

    #[test]
    fn a_weight_is_saved_and_mode_link_and_comments_stay() {
        let (directory, path, source, table) = begin();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("a mode");
        let link = directory.path().join("link.cf");
        symlink(&path, &link).expect("a link");
        let report = save_now(&link, &source, &table, None).expect("saved");
        assert!(report.changed, "{report:?}");
        assert_eq!(report.unsaved, [""; 0]);
        let text = fs::read_to_string(&path).expect("readable");
        assert_eq!(text, FILE.replace("weight = 1 #", "weight = 7 #"));
        let metadata = fs::symlink_metadata(&path).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        let left = fs::read_dir(directory.path()).expect("a directory").count();
        assert_eq!(left, 2, "no other file is left");
        // Once more there is nothing to change.
        let source = Source::read(&link).expect("readable");
        let again = save_now(&link, &source, &table, None).expect("saved");
        assert!(!again.changed);
    }

    #[test]
    fn a_file_that_was_changed_meanwhile_stays_as_it_is() {
        let (_directory, path, source, table) = begin();
        let other = FILE.replace("serial_no = 1", "serial_no = 2");
        fs::write(&path, &other).expect("written");
        let refused = save_now(&path, &source, &table, None).expect_err("another file");
        assert!(refused.to_string().contains("was changed"), "{refused}");
        assert_eq!(fs::read_to_string(&path).expect("readable"), other);
    }

    #[test]
    fn what_is_not_there_cannot_be_saved() {
        let (_directory, path, source, table) = begin();
        fs::remove_file(&path).expect("removed");
        save_now(&path, &source, &table, None).expect_err("no file");
    }
}
