//! This program as cargo's compiler wrapper, for a BPF object that is the same in every
//! checkout.
//!
//! Cargo gives each crate a `-C metadata` made from, among others, the absolute path of a
//! package outside the workspace. It ends up in the names of functions, and so in the object.
//! For the BPF target the wrapper puts the crate's name and version there instead: no two crates
//! of that small build share both.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Set for the build, so that this program knows its role.
const ROLE: &str = "CARIBE_XTASK_IS_RUSTC_WRAPPER";

/// The environment that makes cargo call this program in place of the compiler.
pub(crate) fn environment() -> std::io::Result<[(&'static str, OsString); 2]> {
    Ok([
        ("RUSTC_WRAPPER", env::current_exe()?.into_os_string()),
        (ROLE, OsString::from("1")),
    ])
}

/// Does the wrapper's work, if that is what this program was started for.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    env::var_os(ROLE)?;
    let mut arguments = env::args_os().skip(1);
    let Some(compiler) = arguments.next() else {
        eprintln!("called as a compiler wrapper, but without a compiler");
        return Some(ExitCode::FAILURE);
    };
    let name = env::var("CARGO_CRATE_NAME").unwrap_or_default();
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let arguments = rewrite(arguments.collect(), &format!("{name}-{version}"));
    // The compiler's children must not take themselves for a wrapper.
    let status = Command::new(&compiler)
        .args(arguments)
        .env_remove(ROLE)
        .status();
    Some(match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot run {}: {error}", compiler.to_string_lossy());
            ExitCode::FAILURE
        }
    })
}

/// Replaces the metadata of a crate compiled for BPF; anything else stays as it is.
fn rewrite(mut arguments: Vec<OsString>, identity: &str) -> Vec<OsString> {
    let for_bpf = arguments
        .windows(2)
        .any(|pair| pair[0] == "--target" && pair[1].to_string_lossy().starts_with("bpf"));
    if for_bpf {
        for argument in &mut arguments {
            if argument.to_string_lossy().starts_with("metadata=") {
                *argument = format!("metadata={identity}").into();
            }
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn only_crates_for_bpf_get_another_identity() {
        let host = words("--crate-name a -C metadata=123 -C extra-filename=-5");
        assert_eq!(rewrite(host.clone(), "a-1"), host);
        let bpf = words("--crate-name a -C metadata=123 --target bpfel-unknown-none");
        let expected = words("--crate-name a -C metadata=a-1 --target bpfel-unknown-none");
        assert_eq!(rewrite(bpf, "a-1"), expected);
    }
}
