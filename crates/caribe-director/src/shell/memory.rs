//! Which addresses are the director's own, kept in a file that outlives a killed director.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use caribe_config::config::FloatingAddress;
use serde::{Deserialize, Serialize};

use super::kept_file::{self, KeptFileError};

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
    #[error(transparent)]
    File(#[from] KeptFileError),
    #[error("it has {address}/{prefix} on `{interface}`, which cannot be")]
    Address {
        address: IpAddr,
        prefix: u8,
        interface: String,
    },
}

/// Reads the file; a missing one remembers nothing.
pub(super) fn recall(path: &Path) -> Result<Vec<FloatingAddress>, MemoryError> {
    let Some(memory) = kept_file::read::<Memory>(path, LARGEST)? else {
        return Ok(Vec::new());
    };
    memory.addresses.into_iter().map(believe).collect()
}

/// Replaces the file. With nothing to remember there is none.
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
    kept_file::replace(path, &memory)
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
    }
}
