//! The built BPF object, inside this binary.

/// The object as `cargo xtask bpf` built it: the XDP programs `director` and `decapsulate`, with
/// the maps that they share. Aligned as ELF readers need it.
pub static BYTES: &[u8] = aya::include_bytes_aligned!(env!("CARIBE_BPF_OBJECT_PATH"));
