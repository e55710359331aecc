//! A file that outlives a killed director: believed as a whole or not at all, and replaced as a
//! whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a file cannot be believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeptFileError {
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    #[error("it is larger than {0} bytes")]
    Size(u64),
    #[error("it is not what a director writes: {0}")]
    Syntax(#[from] serde_json::Error),
}

/// Reads a file of at most `largest` bytes; `None` when there is none. What is larger is not ours.
pub(super) fn read<T: DeserializeOwned>(
    path: &Path,
    largest: u64,
) -> Result<Option<T>, KeptFileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = Vec::new();
    file.take(largest + 1).read_to_end(&mut text)?;
    if text.len() as u64 > largest {
        return Err(KeptFileError::Size(largest));
    }
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Replaces a file, so that a crash leaves the old or the new one. Its directory is made if need
/// be.
pub(super) fn replace(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer_pretty(&mut file, content)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The new name must outlive a crash of the machine as well.
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("deep").join("numbers.json");
        let read = || read::<Vec<u32>>(&path, 64).expect("believed");
        assert_eq!(read(), None);
        for numbers in [vec![1, 2, 3], vec![]] {
            replace(&path, &numbers).expect("written");
            assert_eq!(read(), Some(numbers));
        }
        let left = fs::read_dir(path.parent().expect("one")).expect("read");
        assert_eq!(left.count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_is_not_ours_is_not_believed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("numbers.json");
        let refused = |text: &str| {
            fs::write(&path, text).expect("written");
            read::<Vec<u32>>(&path, 64).expect_err(text).to_string()
        };
        assert!(refused("").starts_with("it is not what a director writes"));
        assert!(refused("[-1]").starts_with("it is not what a director writes"));
        assert_eq!(refused(&" ".repeat(65)), "it is larger than 64 bytes");
        fs::write(&path, format!("[1]{}", " ".repeat(61))).expect("written");
        assert_eq!(read(&path, 64).expect("it just fits"), Some(vec![1]));
        let unreadable = read::<Vec<u32>>(directory.path(), 64).expect_err("a directory");
        assert!(unreadable.to_string().starts_with("cannot read it"));
    }
}
