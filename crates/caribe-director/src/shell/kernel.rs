//! Settings of the kernel that the director looks at and never changes.

use std::fs;

use crate::KernelForwarding;

/// Whether the kernel forwards, in the network namespace of the calling thread.
pub(super) fn forwarding() -> KernelForwarding {
    KernelForwarding {
        v4: switch("/proc/sys/net/ipv4/ip_forward"),
        v6: switch("/proc/sys/net/ipv6/conf/all/forwarding"),
    }
}

/// A sysctl that is 0 or not; `None` when there is none (a kernel without IPv6).
fn switch(path: &str) -> Option<bool> {
    match fs::read_to_string(path) {
        Ok(value) => Some(value.trim() != "0"),
        Err(error) => {
            tracing::debug!(path, %error, "cannot read a kernel setting");
            None
        }
    }
}
