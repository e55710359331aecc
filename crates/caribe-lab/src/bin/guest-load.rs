//! Loads every program of a BPF object, which sends each through the running kernel's verifier,
//! attaches nothing, and prints how many instructions the verifier walked:
//! `guest-load OBJECT [explain] [MAP=ENTRIES]...`. With `explain` they are loaded as those that
//! explain packets: the constant `EXPLAIN` is set, of which the verifier makes other programs. A map's size matters little to the verifier and much to
//! a small guest, so sizes can be set.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use aya::EbpfLoader;
use aya::programs::{Program, ProgramError, ProgramInfo};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let object: PathBuf = arguments
        .next()
        .context("say which object: guest-load OBJECT [explain] [MAP=ENTRIES]...")?
        .into();
    let mut sizes = Vec::new();
    let mut explains = 0u32;
    for argument in arguments {
        if argument == "explain" {
            explains = 1;
            continue;
        }
        let size = argument.to_str().and_then(|text| text.split_once('='));
        let (map, entries) = size.context("the size of a map is given as MAP=ENTRIES")?;
        let entries: u32 = entries.parse().context("ENTRIES must be a number")?;
        sizes.push((map.to_owned(), entries));
    }
    let mut loader = EbpfLoader::new();
    loader.override_global("EXPLAIN", &explains, explains != 0);
    for (map, entries) in &sizes {
        loader.map_max_entries(map, *entries);
    }
    let mut loaded = loader
        .load_file(&object)
        .with_context(|| format!("load {}", object.display()))?;
    let mut count = 0;
    for (name, program) in loaded.programs_mut() {
        let info = verify(program).with_context(|| format!("verify program `{name}`"))?;
        let walked = info
            .verified_instruction_count()
            .context("this kernel does not tell how many instructions it verified")?;
        let explaining = if explains != 0 { " explaining" } else { "" };
        println!("program {name}{explaining}: {walked} instructions verified");
        count += 1;
    }
    if count == 0 {
        bail!("{} holds no program", object.display());
    }
    Ok(())
}

/// Loads the program into the kernel.
fn verify(program: &mut Program) -> Result<ProgramInfo> {
    let loaded: Result<(), ProgramError> = match program {
        Program::Xdp(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        other => bail!(
            "it is of type {:?}, which no part of Caribe is",
            other.prog_type()
        ),
    };
    loaded?;
    Ok(program.info()?)
}
