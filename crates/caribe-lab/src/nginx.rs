//! Debian's nginx as a real server.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Host, LabError, Payload, Process};

/// A web server over IPv4 and IPv6, on every address of the host. It answers `/` with the name of
/// its host and `/who` with that and the client's address as it sees it, serves a large body at
/// `/big`, keeps what is put to `/upload/NAME`, and answers `/health/NAME` as it is told to. Ends
/// when dropped.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    uploads: PathBuf,
    well: PathBuf,
}

impl Nginx {
    /// Starts it on `ports` and waits until it serves.
    ///
    /// # Errors
    ///
    /// Says when nginx is not installed, or why it did not start.
    pub fn start(host: &Host, ports: &[u16], big: Option<&Payload>) -> Result<Nginx, LabError> {
        let prefix = host.file("nginx");
        fs::create_dir_all(&prefix)
            .map_err(LabError::io(format!("create {}", prefix.display())))?;
        let uploads = prefix.join("upload");
        fs::create_dir_all(&uploads)
            .map_err(LabError::io(format!("create {}", uploads.display())))?;
        let well = prefix.join("well");
        fs::create_dir_all(&well).map_err(LabError::io(format!("create {}", well.display())))?;
        let text = configuration(host, ports, big, &prefix);
        let configuration = host.write_file("nginx.conf", &text)?;
        let mut process = host
            .command("nginx")
            .args(["-p".as_ref(), prefix.as_os_str()])
            .args(["-c".as_ref(), configuration.as_os_str()])
            .args(["-e", "stderr"])
            .spawn()?;
        for port in ports {
            if let Err(error) = host.wait_until_serves(*port, Duration::from_secs(5)) {
                // When it has ended, what it said tells more than our waiting.
                return match process.ended()? {
                    Some(status) => Err(LabError::Failed {
                        command: "nginx".to_owned(),
                        host: host.name().to_owned(),
                        status,
                        said: process.log(),
                    }),
                    None => Err(error),
                };
            }
        }
        Ok(Nginx {
            process,
            uploads,
            well,
        })
    }

    /// The running program, e.g. to kill it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Lets `/health/NAME` answer that all is well, or with status 500; it does so at first.
    ///
    /// # Errors
    ///
    /// Reports what the file system refused.
    pub fn set_well(&self, name: &str, well: bool) -> Result<(), LabError> {
        let sign = self.well.join(name);
        let done = match fs::remove_file(&sign) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ if well => fs::write(&sign, ""),
            _ => Ok(()),
        };
        done.map_err(LabError::io(format!("write {}", sign.display())))
    }

    /// The file that was put to `/upload/NAME`.
    pub fn upload(&self, name: &str) -> PathBuf {
        self.uploads.join(name)
    }
}

/// nginx's configuration, with every path of its own: nothing of an installed nginx is touched.
fn configuration(host: &Host, ports: &[u16], big: Option<&Payload>, prefix: &Path) -> String {
    let listen: String = ports
        .iter()
        .map(|port| format!("        listen {port} backlog=4096;\n        listen [::]:{port} ipv6only=on backlog=4096;\n"))
        .collect();
    let big = big.map_or(String::new(), |payload| {
        format!(
            "        location = /big {{ alias {}; }}\n",
            payload.path().display()
        )
    });
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {kind};\n"))
        .collect();
    format!(
        "daemon off;
user root;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 16384; }}
worker_rlimit_nofile 32768;
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    reset_timedout_connection on;
    default_type text/plain;
    server_tokens off;
{temporary}    server {{
{listen}{big}        location = / {{ return 200 \"{name}\\n\"; }}
        location = /who {{ return 200 \"{name} $remote_addr\\n\"; }}
        location ~ ^/health/(?<sign>[a-z0-9]+)$ {{
            if (!-f {root}/well/$sign) {{ return 500; }}
            return 200 \"{name} is well\n\";
        }}
        location /upload/ {{
            root {root};
            dav_methods PUT;
            client_max_body_size 0;
        }}
    }}
}}
",
        name = host.name(),
        root = prefix.display(),
    )
}
