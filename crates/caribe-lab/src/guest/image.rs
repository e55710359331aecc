//! The kernel inside its image. Unpacking itself takes an emulated kernel four seconds, and this
//! machine half a second, once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::GuestError;

/// How a stream of xz begins.
const XZ: &[u8] = b"\xfd7zXZ\0";

/// The note in a kernel that an emulator can start without its image's help: its entry point (PVH).
const ENTRY_NOTE: &[u8] = b"\x12\0\0\0Xen\0";

/// The kernel of an image, unpacked beside it when this is asked for first. It is the image itself
/// if that is packed in another way than Debian's, or if an emulator could not start what is in it.
pub(super) fn unpacked(image: &Path) -> Result<PathBuf, GuestError> {
    let unpacked = image.with_file_name("vmlinux");
    if unpacked.exists() {
        return Ok(unpacked);
    }
    let failed = || GuestError::io(format!("create {}", unpacked.display()));
    let directory = image.parent().unwrap_or(Path::new("."));
    let draft = tempfile::NamedTempFile::new_in(directory).map_err(failed())?;
    if !unpack(image, draft.path())? {
        return Ok(image.to_owned());
    }
    let persisted = draft.persist(&unpacked);
    persisted.map_err(|error| failed()(error.error))?;
    Ok(unpacked)
}

/// Unpacks into a file; false when that cannot be, or is of no use.
fn unpack(image: &Path, to: &Path) -> Result<bool, GuestError> {
    let bytes = fs::read(image).map_err(GuestError::io(format!("read {}", image.display())))?;
    let Some(payload) = payload(&bytes).filter(|it| it.starts_with(XZ)) else {
        return Ok(false);
    };
    let failed = || GuestError::io(format!("unpack {}", image.display()));
    let mut packed = tempfile::tempfile().map_err(failed())?;
    io::Write::write_all(&mut packed, payload).map_err(failed())?;
    io::Seek::rewind(&mut packed).map_err(failed())?;
    let status = Command::new("xz")
        .args(["--decompress", "--stdout"])
        .stdin(packed)
        .stdout(File::create(to).map_err(failed())?)
        .stderr(Stdio::inherit())
        .status()
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => GuestError::Missing {
                program: "xz",
                package: "xz-utils",
            },
            _ => failed()(source),
        })?;
    if !status.success() {
        return Err(failed()(io::Error::other(format!(
            "xz ended with {status}"
        ))));
    }
    let kernel = fs::read(to).map_err(failed())?;
    let mut places = kernel.windows(ENTRY_NOTE.len());
    Ok(places.any(|place| place == ENTRY_NOTE))
}

/// What an image for x86 unpacks, without its length behind it: the kernel's
/// `Documentation/arch/x86/boot.rst`.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| {
        let bytes = image.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let sectors = match *image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let start = (sectors + 1) * 512 + word(0x248)?;
    let end = (start + word(0x24c)?).checked_sub(4)?;
    image.get(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image whose payload begins behind one sector of set-up code.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024 + 16];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248] = 16;
        image[0x24c..0x250].copy_from_slice(&(payload.len() as u32 + 4).to_le_bytes());
        image.extend(payload);
        image.extend([9; 4]);
        image
    }

    #[test]
    fn the_payload_is_where_the_header_says() {
        let image = image(b"packed");
        assert_eq!(payload(&image), Some(&b"packed"[..]));
        assert_eq!(payload(&image[..image.len() - 5]), None);
        assert_eq!(payload(&[0; 100]), None);
        assert_eq!(payload(&[0; 4096]), None);
    }

    #[test]
    fn an_image_that_is_packed_otherwise_is_booted_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("vmlinuz-1");
        fs::write(&path, image(b"zstd")).expect("written");
        assert_eq!(unpacked(&path).expect("readable"), path);
    }
}
