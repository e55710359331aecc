//! Tells the crate where the built BPF object is: the committed one, or the one that
//! `CARIBE_BPF_OBJECT` names (a fresh build, for tests and for packagers who build from source).

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=CARIBE_BPF_OBJECT");
    let path = match std::env::var_os("CARIBE_BPF_OBJECT") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../caribe-ebpf/caribe.bpf.o"),
    };
    println!("cargo::rerun-if-changed={}", path.display());
    assert!(
        path.is_file(),
        "there is no BPF object at {}: build it with `cargo xtask bpf`, or name one in \
         CARIBE_BPF_OBJECT",
        path.display()
    );
    // A relative path would be taken relative to the crate's sources by the compiler.
    let path = path
        .canonicalize()
        .expect("a file that exists has an absolute path");
    println!("cargo::rustc-env=CARIBE_BPF_OBJECT_PATH={}", path.display());
}
