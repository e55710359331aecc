//! A large body with a known digest: what shows a byte lost, doubled, moved or changed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::LabError;

/// Length and SHA-256 of a stream of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// In bytes.
    pub length: u64,
    /// In hexadecimal.
    pub sha256: String,
}

impl Digest {
    /// Reads a stream to its end.
    ///
    /// # Errors
    ///
    /// What reading reports.
    pub fn of(from: &mut dyn Read) -> io::Result<Digest> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        let mut length = 0;
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            length += count as u64;
        }
        let sha256 = hasher
            .finalize()
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Ok(Digest { length, sha256 })
    }
}

/// A file of bytes that repeat nowhere within reach of a retransmission, with its digest.
#[derive(Debug, Clone)]
pub struct Payload {
    path: PathBuf,
    digest: Digest,
}

impl Payload {
    /// Writes the file, `length` bytes of a fixed sequence.
    ///
    /// # Errors
    ///
    /// What writing reports.
    pub fn create(path: &Path, length: u64) -> Result<Payload, LabError> {
        let failed = || LabError::io(format!("write {}", path.display()));
        let mut file = BufWriter::with_capacity(1 << 18, File::create(path).map_err(failed())?);
        let mut sequence = Sequence::default();
        io::copy(&mut sequence.by_ref().take(length), &mut file).map_err(failed())?;
        file.flush().map_err(failed())?;
        Payload::open(path)
    }

    /// Takes a file as it is.
    ///
    /// # Errors
    ///
    /// What reading reports.
    pub fn open(path: &Path) -> Result<Payload, LabError> {
        let failed = || LabError::io(format!("read {}", path.display()));
        let mut file = File::open(path).map_err(failed())?;
        let digest = Digest::of(&mut file).map_err(failed())?;
        let path = fs::canonicalize(path).map_err(failed())?;
        Ok(Payload { path, digest })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a client must have received.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// The outputs of SplitMix64 from zero, as bytes: fast, and without short repeats.
#[derive(Default)]
struct Sequence {
    state: u64,
}

impl Read for Sequence {
    /// Fills whole words only; callers ask for large blocks. A last, shorter piece gets the
    /// head of a word.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for piece in buffer.chunks_mut(8) {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            piece.copy_from_slice(&word.to_le_bytes()[..piece.len()]);
        }
        Ok(buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha256() {
        let digest = Digest::of(&mut &b"abc"[..]).expect("memory can be read");
        assert_eq!(digest.length, 3);
        assert_eq!(
            digest.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn the_sequence_does_not_repeat_itself() {
        let mut bytes = vec![0; 1 << 20];
        Sequence::default()
            .read_exact(&mut bytes)
            .expect("it is endless");
        let blocks: std::collections::HashSet<&[u8]> = bytes.chunks(16).collect();
        assert_eq!(blocks.len(), bytes.len() / 16);
    }
}
