//! The servers of HTTP checks: nginx on every address of their host.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use caribe_lab::{Host, Process};

use super::bed::{PORT, server};

/// Starts nginx on a processor of its own; it ends when dropped.
pub(crate) fn start(director: &Host, host: &Host, processor: usize) -> Result<Process> {
    let prefix = host.file("nginx");
    fs::create_dir_all(&prefix).context("cannot make nginx's directory")?;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {kind};\n"))
        .collect();
    let text = format!(
        "daemon off;
user root;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 16384; }}
http {{
    access_log off;
{temporary}    server {{
        listen {PORT} backlog=65535;
        location / {{ return 200 \"good\\n\"; }}
    }}
}}
"
    );
    let file = prefix.join("nginx.conf");
    fs::write(&file, text).context("cannot write nginx's configuration")?;
    let process = host
        .command("taskset")
        .package("util-linux")
        .args(["--cpu-list", &processor.to_string(), "nginx", "-p"])
        .arg(&prefix)
        .arg("-c")
        .arg(&file)
        .args(["-e", "stderr"])
        .spawn()?;
    director.wait_until_connects(server(0), Duration::from_secs(10))?;
    Ok(process)
}
