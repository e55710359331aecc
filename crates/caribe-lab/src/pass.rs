//! An XDP program that passes everything, for the switch's end of every link.
//!
//! A frame that XDP sends back out of a veth (`XDP_TX`) lands in a ring of the other end. With
//! GRO on, that end has a ring and takes the frame; but the kernel tells it to look there only
//! if it has an XDP program. Without one the frame waits until something else wakes that end,
//! for seconds on a quiet link.
//!
//! Two instructions need no compiler: the object is put together here, byte by byte.

use std::path::Path;

use aya::Ebpf;
use aya::pin::PinError;
use aya::programs::links::FdLink;
use aya::programs::xdp::XdpMode;
use aya::programs::{ProgramError, Xdp};
use object::write::{Object, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};

/// Why the program could not be put in place.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The object could not be put together.
    #[error("cannot write the ELF object: {0}")]
    Object(#[from] object::write::Error),
    /// The loader does not take the object.
    #[error("cannot load the object: {0}")]
    Load(#[from] aya::EbpfError),
    /// The kernel does not take the program.
    #[error("the kernel refuses the program: {0}")]
    Program(#[from] ProgramError),
    /// The kernel made no link that could be kept.
    #[error("the kernel gives no link to keep: {0}")]
    Link(#[from] aya::programs::links::LinkError),
    /// The link could not be kept.
    #[error("cannot pin the link: {0}")]
    Pin(#[from] PinError),
}

const NAME: &str = "pass";

/// Attaches the program to interface `index` of the calling thread's namespace, and keeps it
/// there by a pin at `path`.
pub(crate) fn attach(index: u32, path: &Path) -> Result<(), PassError> {
    let mut loaded = Ebpf::load(&object()?)?;
    let Some(program) = loaded.program_mut(NAME) else {
        unreachable!("the object was just made with this program in it");
    };
    let program: &mut Xdp = program.try_into()?;
    program.load()?;
    let id = program.attach_to_if_index(index, XdpMode::Driver)?;
    let link: FdLink = program.take_link(id)?.try_into()?;
    // The pin holds the link, and the link the program.
    link.pin(path)?;
    Ok(())
}

/// An ELF object with the program in it.
fn object() -> Result<Vec<u8>, object::write::Error> {
    /// `r0 = XDP_PASS`, `exit`: opcode, registers, offset, immediate, as a little-endian machine
    /// has them; an object for the other kind would not load there.
    const CODE: [u8; 16] = [
        0xb7, 0, 0, 0, 2, 0, 0, 0, //
        0x95, 0, 0, 0, 0, 0, 0, 0,
    ];
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"Dual MIT/GPL\0", 1);
    // `frags`: links may have an MTU of more than a page.
    let code = object.add_section(Vec::new(), b"xdp.frags".to_vec(), SectionKind::Text);
    object.append_section_data(code, &CODE, 8);
    object.add_symbol(Symbol {
        name: NAME.into(),
        value: 0,
        size: CODE.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(code),
        flags: SymbolFlags::None,
    });
    object.write()
}
