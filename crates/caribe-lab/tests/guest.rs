//! An emulated guest with Debian's kernel runs a command and says how it ended.

use std::path::Path;

use caribe_lab::guest::{Guest, Initramfs, Kernel};

#[test]
fn a_guest_runs_a_command_and_tells_its_status() {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest");
    let kernel = Kernel::of_debian(&cache).expect("a kernel");
    let mut files = Initramfs::with_busybox().expect("busybox");
    // A dynamic program: its libraries must have come along.
    files
        .program(
            Path::new("/bin/load"),
            Path::new(env!("CARGO_BIN_EXE_guest-load")),
        )
        .expect("a program with its libraries");
    let command = "uname -r; ls /sys/kernel/btf/vmlinux; load /missing; exit 7";
    let said = Guest::new(&kernel).run(files, command).expect("a guest");
    assert_eq!(said.status, 7, "{}", said.output);
    assert!(said.output.starts_with(kernel.release()), "{}", said.output);
    assert!(
        said.output.contains("/sys/kernel/btf/vmlinux"),
        "{}",
        said.output
    );
    assert!(said.output.contains("No such file"), "{}", said.output);
}
