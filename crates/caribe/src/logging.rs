//! Where the director's log goes.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use anyhow::Context;
use nix::sys::stat::fstat;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::arguments::LogFormat;

/// Who reads the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// On a terminal, or as text.
    People,
    /// The journal, or a collector of JSON lines.
    Programs,
}

/// Starts logging for the whole process.
pub(crate) fn start(format: LogFormat) -> anyhow::Result<Destination> {
    let filter = match std::env::var("CARIBE_LOG") {
        Ok(directives) => EnvFilter::try_new(&directives)
            .with_context(|| format!("the filter CARIBE_LOG=`{directives}` is not usable"))?,
        Err(_) => EnvFilter::new("info"),
    };
    let registry = tracing_subscriber::registry().with(filter);
    match resolve(format) {
        LogFormat::Journald => {
            let layer = tracing_journald::layer()
                .context("cannot reach the journal (--log-format json writes elsewhere)")?
                .with_syslog_identifier("caribe".to_owned());
            init(registry.with(layer))?;
            Ok(Destination::Programs)
        }
        LogFormat::Json => {
            init(
                registry.with(
                    fmt::layer()
                        .json()
                        .flatten_event(true)
                        .with_writer(io::stderr),
                ),
            )?;
            Ok(Destination::Programs)
        }
        LogFormat::Human | LogFormat::Auto => {
            let layer = fmt::layer()
                .with_target(false)
                .with_ansi(io::stderr().is_terminal())
                .with_writer(io::stderr);
            init(registry.with(layer))?;
            Ok(Destination::People)
        }
    }
}

fn init(subscriber: impl Subscriber + Send + Sync + 'static) -> anyhow::Result<()> {
    subscriber.try_init().context("cannot start the log")
}

/// What `auto` stands for.
fn resolve(format: LogFormat) -> LogFormat {
    if format != LogFormat::Auto {
        return format;
    }
    let stream = std::env::var("JOURNAL_STREAM").ok();
    if stream.is_some_and(|stream| is_standard_error(&stream)) {
        LogFormat::Journald
    } else if io::stderr().is_terminal() {
        LogFormat::Human
    } else {
        LogFormat::Json
    }
}

/// Whether standard error is the stream that systemd names as `device:inode`; a process further
/// down may have inherited the variable with another stream.
fn is_standard_error(stream: &str) -> bool {
    let Some((device, inode)) = stream.split_once(':') else {
        return false;
    };
    let Ok(status) = fstat(io::stderr().as_fd()) else {
        return false;
    };
    device.parse() == Ok(status.st_dev) && inode.parse() == Ok(status.st_ino)
}
