//! What the machine must have, and installing what it lacks.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::unistd::Uid;
use xshell::{Shell, cmd};

/// What a command is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Build the BPF object.
    Bpf,
    /// Run real programs in namespaces.
    Lab,
    /// Boot another kernel in an emulator.
    Guest,
    /// Run the fuzz targets, whose engine is C++.
    Fuzz,
    /// Measure other programs of the field beside ours.
    Rivals,
}

/// Something needed: how to see that it is there, and the Debian package that brings it.
struct Need {
    purpose: Purpose,
    /// A program looked up in `PATH`, or a file when it has a slash.
    sign: &'static str,
    package: &'static str,
}

const fn need(purpose: Purpose, sign: &'static str, package: &'static str) -> Need {
    Need {
        purpose,
        sign,
        package,
    }
}

const NEEDS: &[Need] = &[
    need(Purpose::Lab, "ip", "iproute2"),
    need(Purpose::Lab, "ping", "iputils-ping"),
    need(Purpose::Lab, "ethtool", "ethtool"),
    need(Purpose::Lab, "nginx", "nginx-light"),
    need(Purpose::Lab, "curl", "curl"),
    need(Purpose::Lab, "wrk", "wrk"),
    need(Purpose::Lab, "tshark", "tshark"),
    need(Purpose::Lab, "ipvsadm", "ipvsadm"),
    need(Purpose::Lab, "nft", "nftables"),
    // What the monitors' probes are tried on.
    need(Purpose::Lab, "unshare", "util-linux"),
    need(Purpose::Lab, "openssl", "openssl"),
    need(Purpose::Lab, "dnsmasq", "dnsmasq-base"),
    need(Purpose::Lab, "msmtpd", "msmtp-mta"),
    need(Purpose::Lab, "rpcbind", "rpcbind"),
    need(Purpose::Lab, "rpc.rstatd", "rstatd"),
    need(Purpose::Lab, "rwhod", "rwhod"),
    need(Purpose::Lab, "sshd", "openssh-server"),
    need(Purpose::Lab, "ssh", "openssh-client"),
    need(
        Purpose::Lab,
        "/usr/lib/python3/dist-packages/grpc/__init__.py",
        "python3-grpcio",
    ),
    need(Purpose::Guest, "qemu-system-x86_64", "qemu-system-x86"),
    need(
        Purpose::Guest,
        "/usr/share/seabios/bios-256k.bin",
        "seabios",
    ),
    need(Purpose::Guest, "/bin/busybox", "busybox-static"),
    need(Purpose::Guest, "xz", "xz-utils"),
    // Rules of netfilter are loaded in a guest.
    need(Purpose::Guest, "iptables-restore", "iptables"),
    need(Purpose::Fuzz, "c++", "g++"),
    need(Purpose::Rivals, "haproxy", "haproxy"),
    need(Purpose::Rivals, "keepalived", "keepalived"),
];

/// The toolchain of the BPF object on Debian 12.
pub(crate) const BPF_PACKAGES: [(&str, &str); 5] = [
    ("/usr/bin/rustc", "rustc-web"),
    (
        "/usr/lib/rustlib/src/rust/library/core/Cargo.toml",
        "rust-web-src",
    ),
    ("/usr/lib/llvm-22/bin/llvm-strip", "llvm-22"),
    ("/usr/lib/llvm-22/bin/llvm-config", "llvm-22-dev"),
    ("/usr/lib/llvm-22/lib/libPolly.a", "libpolly-22-dev"),
];

/// Installs what is missing for these purposes.
///
/// The BPF toolchain itself is not a matter of packages alone: see
/// [`Toolchain`](crate::bpf::toolchain::Toolchain).
pub(crate) fn prepare(purposes: &[Purpose]) -> Result<()> {
    let missing: Vec<&str> = NEEDS
        .iter()
        .filter(|need| purposes.contains(&need.purpose) && !is_there(need.sign))
        .map(|need| need.package)
        .collect();
    install(&missing)
}

/// True when the program is in `PATH`, or the file exists.
pub(crate) fn is_there(sign: &str) -> bool {
    if sign.contains('/') {
        return Path::new(sign).exists();
    }
    find_program(sign).is_some()
}

/// Looks a program up in `PATH`, and where Debian keeps the administrator's programs, which an
/// ordinary user's `PATH` lacks.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// True for root.
pub(crate) fn is_root() -> bool {
    Uid::effective().is_root()
}

/// True on Debian and what is made from it.
pub(crate) fn is_debian() -> bool {
    is_there("apt-get") && Path::new("/etc/debian_version").exists()
}

/// Installs Debian packages, and says which; services that they bring are not started.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let line = format!(
        "apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
    if !is_debian() {
        bail!(
            "this needs what Debian has in the packages `{}`; install their like with this \
             machine's own package manager",
            packages.join(" ")
        );
    }
    if !is_root() {
        bail!("some packages are missing; run this as root, or first: sudo {line}");
    }
    println!("installing: {line}");
    let shell = Shell::new()?;
    shell.set_var("DEBIAN_FRONTEND", "noninteractive");
    let _quiet = ServicesStayStopped::ask()?;
    let install = || {
        cmd!(
            shell,
            "apt-get -q -y install --no-install-recommends {packages...}"
        )
        .quiet()
        .run()
    };
    // The lists of a fresh machine are empty or old; they are asked for only when needed.
    if install().is_err() {
        cmd!(shell, "apt-get -q update").quiet().run()?;
        install().with_context(|| format!("cannot install packages: {line}"))?;
    }
    Ok(())
}

/// Debian starts a service when its package is installed; a web server on this machine is not
/// what anybody asked for. While this lives, Debian is told not to, the documented way.
struct ServicesStayStopped {
    policy: Option<&'static str>,
}

impl ServicesStayStopped {
    fn ask() -> Result<ServicesStayStopped> {
        const POLICY: &str = "/usr/sbin/policy-rc.d";
        if Path::new(POLICY).exists() {
            // The machine has a policy of its own.
            return Ok(ServicesStayStopped { policy: None });
        }
        let shell = Shell::new()?;
        fs::write(POLICY, "#!/bin/sh\nexit 101\n")
            .with_context(|| format!("cannot write {POLICY}"))?;
        let policy = ServicesStayStopped {
            policy: Some(POLICY),
        };
        cmd!(shell, "chmod 755 {POLICY}").quiet().run()?;
        Ok(policy)
    }
}

impl Drop for ServicesStayStopped {
    fn drop(&mut self) {
        if let Some(path) = self.policy
            && let Err(error) = fs::remove_file(path)
        {
            eprintln!("cannot remove {path}, which keeps services from starting: {error}");
        }
    }
}
