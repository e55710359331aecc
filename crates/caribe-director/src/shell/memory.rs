//! Which addresses are the director's own, kept in a file that outlives a killed director.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::Path;

use caribe_config::config::FloatingAddress;
use serde::{Deserialize, Serialize};

/// More than any director's addresses; a larger file is not ours.
const LARGEST: u64 = 4 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    addresses: Vec<Remembered>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    address: IpAddr,
    prefix: u8,
    interface: String,
    label: String,
}

/// Why the file cannot be believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum MemoryError {
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    #[error("it is larger than {LARGEST} bytes")]
    Size,
    #[error("it is not what a director writes: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("it has {address}/{prefix} on `{interface}`, which cannot be")]
    Address {
        address: IpAddr,
        prefix: u8,
        interface: String,
    },
}

/// Reads the file; a missing one remembers nothing.
pub(super) fn recall(path: &Path) -> Result<Vec<FloatingAddress>, MemoryError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(MemoryError::Size);
    }
    let memory: Memory = serde_json::from_slice(&text)?;
    memory.addresses.into_iter().map(believe).collect()
}

/// Replaces the file, so that a crash leaves the old or the new one. With nothing to remember
/// there is no file.
pub(super) fn remember(path: &Path, addresses: &[FloatingAddress]) -> io::Result<()> {
    if addresses.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let memory = Memory {
        addresses: addresses
            .iter()
            .map(|floating| Remembered {
                address: floating.address,
                prefix: floating.prefix,
                interface: floating.interface.clone(),
                label: floating.label.clone(),
            })
            .collect(),
    };
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer_pretty(&mut file, &memory)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn believe(remembered: Remembered) -> Result<FloatingAddress, MemoryError> {
    let Remembered {
        address,
        prefix,
        interface,
        label,
    } = remembered;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    // IFNAMSIZ is 16 with the final zero.
    let name = |text: &str| {
        (1..16).contains(&text.len()) && !text.contains(['/', '\0']) && !text.contains(' ')
    };
    if prefix > longest || !name(&interface) || !name(&label) {
        return Err(MemoryError::Address {
            address,
            prefix,
            interface,
        });
    }
    Ok(FloatingAddress {
        address,
        interface,
        label,
        prefix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floating() -> FloatingAddress {
        FloatingAddress {
            address: "2001:db8::1".parse().expect("an address"),
            interface: "eth0".to_owned(),
            label: "eth0:1".to_owned(),
            prefix: 64,
        }
    }

    #[test]
    fn what_is_remembered_is_recalled() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("addresses.json");
        assert_eq!(recall(&path).expect("a missing file is empty"), []);
        remember(&path, &[floating()]).expect("written");
        assert_eq!(recall(&path).expect("read"), [floating()]);
        remember(&path, &[]).expect("written again");
        assert!(!path.exists());
        remember(&path, &[]).expect("nothing to do");
        assert_eq!(recall(&path).expect("read"), []);
    }

    #[test]
    fn a_file_that_cannot_be_is_not_believed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("addresses.json");
        for text in [
            "",
            "{}",
            "[]",
            r#"{"addresses":[],"more":1}"#,
            r#"{"addresses":[{"address":"10.0.0.1","prefix":33,"interface":"eth0","label":"eth0"}]}"#,
            r#"{"addresses":[{"address":"10.0.0.1","prefix":32,"interface":"../etc","label":"a"}]}"#,
            r#"{"addresses":[{"address":"10.0.0.1","prefix":32,"interface":"","label":"a"}]}"#,
            r#"{"addresses":[{"address":"x","prefix":32,"interface":"eth0","label":"a"}]}"#,
        ] {
            std::fs::write(&path, text).expect("written");
            recall(&path).expect_err(text);
        }
        let endless = vec![b' '; usize::try_from(LARGEST).expect("fits") + 1];
        std::fs::write(&path, endless).expect("written");
        assert!(matches!(recall(&path), Err(MemoryError::Size)));
    }
}
