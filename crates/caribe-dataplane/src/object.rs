//! The built BPF object, inside this binary, and how its programs are loaded.

use aya::maps::{MapError, ProgramArray};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, maps};
use caribe_packet::chapter::Chapter;

/// The object as `cargo xtask bpf` built it: the XDP programs `director`, with its chapters, and
/// `decapsulate`, with the maps that they share. Aligned as ELF readers need it.
pub static BYTES: &[u8] = aya::include_bytes_aligned!(env!("CARIBE_BPF_OBJECT_PATH"));

/// The program that balances; its chapters are named by [`Chapter`].
pub const DIRECTOR: &str = "director";

/// The map in which [`DIRECTOR`] finds its chapters.
pub const CHAPTERS: &str = "CHAPTERS";

/// Why the programs of an object could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The object is another one.
    #[error("the object holds no XDP program `{0}`")]
    NoProgram(&'static str),
    /// The object is another one.
    #[error("the object holds no array of programs `{CHAPTERS}`")]
    NoChapters,
    /// The kernel refused a program.
    #[error("load the XDP program `{program}`: {source}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What the kernel says, with the verifier's log.
        #[source]
        source: ProgramError,
    },
    /// The kernel refused to enter a program among the chapters.
    #[error("make the XDP program `{program}` a chapter: {source}")]
    Chapter {
        /// Its name.
        program: &'static str,
        /// What the kernel says.
        #[source]
        source: MapError,
    },
}

/// Loads the director's program with its chapters, and makes the chapters known to it.
///
/// # Errors
///
/// See [`LoadError`].
pub fn load_director(ebpf: &mut Ebpf) -> Result<(), LoadError> {
    load(ebpf, DIRECTOR)?;
    for chapter in Chapter::ALL {
        let name = chapter.program();
        let refused = |source: MapError| LoadError::Chapter {
            program: name,
            source,
        };
        let descriptor = load(ebpf, name)?
            .fd()
            .and_then(|descriptor| Ok(descriptor.try_clone()?))
            .map_err(|source| LoadError::Program {
                program: name,
                source,
            })?;
        let chapters: &mut maps::Map = ebpf.map_mut(CHAPTERS).ok_or(LoadError::NoChapters)?;
        let mut chapters = ProgramArray::try_from(chapters).map_err(refused)?;
        chapters
            .set(*chapter as u32, &descriptor, 0)
            .map_err(refused)?;
    }
    Ok(())
}

fn load<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, LoadError> {
    let program: &mut Xdp = ebpf
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(LoadError::NoProgram(name))?;
    program.load().map_err(|source| LoadError::Program {
        program: name,
        source,
    })?;
    Ok(program)
}
