//! A kernel to boot: Debian's own, unpacked without being installed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{GuestError, image, run};

/// A kernel image with its release.
#[derive(Debug, Clone)]
pub struct Kernel {
    image: PathBuf,
    release: String,
    root: PathBuf,
}

impl Kernel {
    /// The kernel of this machine's Debian release (6.1 on Debian 12), downloaded from its
    /// archive into `cache` once and unpacked there.
    ///
    /// # Errors
    ///
    /// Reports what apt or dpkg said; apt's lists must be fresh (`apt-get update`).
    pub fn of_debian(cache: &Path) -> Result<Kernel, GuestError> {
        let package = package_of_debian()?;
        let root = cache.join(&package);
        if !root.is_dir() {
            download(cache, &package, &root)?;
        }
        Kernel::unpacked(&root)
    }

    /// A kernel package unpacked in `root`.
    fn unpacked(root: &Path) -> Result<Kernel, GuestError> {
        let boot = root.join("boot");
        let entries =
            fs::read_dir(&boot).map_err(GuestError::io(format!("list {}", boot.display())))?;
        for entry in entries {
            let entry = entry.map_err(GuestError::io(format!("list {}", boot.display())))?;
            let name = entry.file_name();
            if let Some(release) = name.to_str().and_then(|name| name.strip_prefix("vmlinuz-")) {
                return Ok(Kernel {
                    image: image::unpacked(&entry.path())?,
                    release: release.to_owned(),
                    root: root.to_owned(),
                });
            }
        }
        Err(GuestError::NoKernel(boot))
    }

    /// What to boot.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Its release, as `uname -r` shows it.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Its modules, for `modprobe` in the guest.
    pub fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }

    /// The files of these modules and of all that they need, in the order in which they can be
    /// inserted. Debian's package has no `modules.dep`, and needs none for this.
    ///
    /// # Errors
    ///
    /// Names a module that the kernel does not have.
    pub fn modules_for(&self, names: &[&str]) -> Result<Vec<PathBuf>, GuestError> {
        let mut files = BTreeMap::new();
        collect_modules(&self.modules(), &mut files)?;
        let mut order = Vec::new();
        for name in names {
            insert_module(name, &files, &mut order)?;
        }
        Ok(order)
    }
}

/// All modules below a directory, by name.
fn collect_modules(
    directory: &Path,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), GuestError> {
    let failed = || GuestError::io(format!("list {}", directory.display()));
    for entry in fs::read_dir(directory).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.is_dir() && !path.is_symlink() {
            collect_modules(&path, files)?;
        } else if path.extension() == Some(OsStr::new("ko"))
            && let Some(name) = path.file_stem().and_then(OsStr::to_str)
        {
            files.insert(module_name(name), path);
        }
    }
    Ok(())
}

/// Puts a module into the order, after what it needs.
fn insert_module(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    order: &mut Vec<PathBuf>,
) -> Result<(), GuestError> {
    let name = module_name(name);
    let path = files.get(&name).ok_or(GuestError::NoModule(name))?;
    if order.contains(path) {
        return Ok(());
    }
    let bytes = fs::read(path).map_err(GuestError::io(format!("read {}", path.display())))?;
    for needed in needed_modules(&bytes) {
        insert_module(&needed, files, order)?;
    }
    order.push(path.clone());
    Ok(())
}

/// What a module says that it needs: `depends=` of its section `.modinfo`.
fn needed_modules(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module[at + KEY.len()..].split(|byte| *byte == 0);
    let value = String::from_utf8_lossy(value.take(1).next().unwrap_or_default()).into_owned();
    let names = value.split(',').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// The kernel takes `-` and `_` for the same.
fn module_name(name: &str) -> String {
    name.replace('-', "_")
}

/// `linux-image-amd64` is empty and depends on the current kernel's package.
fn package_of_debian() -> Result<String, GuestError> {
    let command = &mut Command::new("apt-cache");
    let said = run(
        "apt-cache",
        "apt",
        command.args(["depends", "linux-image-amd64"]),
    )?;
    said.lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|package| package.starts_with("linux-image-"))
        .map(str::to_owned)
        .ok_or(GuestError::Failed {
            command: "apt-cache depends linux-image-amd64".to_owned(),
            said: format!("it names no kernel package; run apt-get update. It said:\n{said}"),
        })
}

/// Fetches and unpacks in a directory aside, which becomes `root` only when it is complete.
fn download(cache: &Path, package: &str, root: &Path) -> Result<(), GuestError> {
    let draft = cache.join(format!("{package}.new"));
    if draft.exists() {
        fs::remove_dir_all(&draft)
            .map_err(GuestError::io(format!("remove {}", draft.display())))?;
    }
    fs::create_dir_all(&draft).map_err(GuestError::io(format!("create {}", draft.display())))?;
    tracing::info!(package, "downloading a kernel to boot (about 70 MB)");
    run(
        "apt-get",
        "apt",
        // As root, apt would hand the download to a user who may not write here, and warn.
        Command::new("apt-get")
            .args(["-q", "-o", "APT::Sandbox::User=root", "download", package])
            .current_dir(&draft),
    )?;
    let archive = fs::read_dir(&draft)
        .map_err(GuestError::io(format!("list {}", draft.display())))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension() == Some(OsStr::new("deb")))
        .ok_or_else(|| GuestError::NoKernel(draft.clone()))?;
    run(
        "dpkg-deb",
        "dpkg",
        Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&draft),
    )?;
    fs::remove_file(&archive).map_err(GuestError::io(format!("remove {}", archive.display())))?;
    fs::rename(&draft, root).map_err(GuestError::io(format!("create {}", root.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_needs() {
        let module = b"license=GPL\0depends=nf_conntrack,libcrc32c\0name=ip_vs\0";
        assert_eq!(needed_modules(module), ["nf_conntrack", "libcrc32c"]);
        assert!(needed_modules(b"license=GPL\0depends=\0name=tun\0").is_empty());
        assert!(needed_modules(b"no module").is_empty());
    }
}
