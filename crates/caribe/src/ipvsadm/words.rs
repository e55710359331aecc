//! The one option that ipvsadm does not have: where the director is.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::arguments::RUNTIME_DIR;

/// Ours, among ipvsadm's words.
const OPTION: &str = "--runtime-dir";

/// The environment's way to say it, for scripts that call `ipvsadm`.
const VARIABLE: &str = "CARIBE_RUNTIME_DIR";

/// What was typed, apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// Runtime directory of the director.
    pub(super) directory: PathBuf,
    /// Words of ipvsadm.
    pub(super) words: Vec<String>,
}

/// `--runtime-dir` at the end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{OPTION} needs the name of a directory after it")]
pub(super) struct MissingDirectory;

/// Takes our option out, wherever it stands. The last one counts, then the environment, then the
/// default.
pub(super) fn words(typed: impl Iterator<Item = OsString>) -> Result<Words, MissingDirectory> {
    let mut directory = None;
    let mut words = Vec::new();
    let mut typed = typed.peekable();
    while let Some(word) = typed.next() {
        if word == OPTION {
            directory = Some(PathBuf::from(typed.next().ok_or(MissingDirectory)?));
            continue;
        }
        // What is not text is no option, address or number: the parser refuses it as it looks.
        let word = word.to_string_lossy().into_owned();
        let attached = word.strip_prefix(OPTION);
        match attached.and_then(|rest| rest.strip_prefix('=')) {
            Some(named) => directory = Some(PathBuf::from(named)),
            None => words.push(word),
        }
    }
    let directory = directory
        .or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(RUNTIME_DIR));
    Ok(Words { directory, words })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Words, MissingDirectory> {
        words(text.split(' ').map(OsString::from))
    }

    #[test]
    fn our_option_may_stand_anywhere() {
        for text in [
            "--runtime-dir run -L -n",
            "-L --runtime-dir run -n",
            "-L -n --runtime-dir=run",
            "--runtime-dir other -L -n --runtime-dir=run",
        ] {
            let read = read(text).expect("read");
            assert_eq!(read.directory, PathBuf::from("run"), "{text}");
            assert_eq!(read.words, ["-L", "-n"], "{text}");
        }
        assert_eq!(read("-L --runtime-dir"), Err(MissingDirectory));
        let others = read("-L --runtime-directory x").expect("read").words;
        assert_eq!(others, ["-L", "--runtime-directory", "x"]);
    }
}
