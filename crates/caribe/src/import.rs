//! `caribe import`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use caribe_config::import;

use crate::arguments::ImportMarksArguments;
use crate::output;

/// Nothing could be read.
const UNREADABLE: u8 = 2;

pub(crate) fn marks(arguments: &ImportMarksArguments) -> ExitCode {
    let file = &arguments.file;
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!(
                "caribe import marks: cannot read {}: {error}",
                file.display()
            );
            return ExitCode::from(UNREADABLE);
        }
    };
    let imported = match import::marks(&text) {
        Ok(imported) => imported,
        Err(error) => {
            eprintln!("caribe import marks: {}: {error}", file.display());
            return ExitCode::from(UNREADABLE);
        }
    };
    for rule in &imported.untranslated {
        eprintln!("{rule}");
    }
    let code = match imported.untranslated.len() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    };
    output::show("caribe import marks", &imported.blocks, code)
}

/// Reads at most one byte more than is accepted.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let limit = import::MAX_SIZE as u64 + 1;
    let mut text = Vec::new();
    if file.as_os_str() == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut text)?;
    } else {
        File::open(file)?.take(limit).read_to_end(&mut text)?;
    }
    Ok(text)
}
