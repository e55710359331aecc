//! `caribe director`.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use caribe_director::Options;

use crate::arguments::DirectorArguments;
use crate::logging;

pub(crate) fn run(arguments: DirectorArguments) -> ExitCode {
    let log = match logging::start(arguments.log_format) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("caribe director: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    match meant(arguments).and_then(direct) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match log {
                // With its line breaks, which diagnostics need.
                logging::Destination::People => eprintln!("caribe director: {}", told(&error)),
                logging::Destination::Programs => tracing::error!("{}", told(&error)),
            }
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, each said once: many errors tell their cause themselves.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// What the arguments mean.
fn meant(arguments: DirectorArguments) -> anyhow::Result<Options> {
    for interface in &arguments.interface {
        // IFNAMSIZ is 16 with the final zero.
        ensure!(
            (1..16).contains(&interface.len()) && !interface.contains(['/', ':', ' ']),
            "--interface `{interface}` is no name of an interface: give one of those that \
             `ip link` lists"
        );
    }
    Ok(Options {
        config: arguments.config,
        interfaces: arguments.interface,
        runtime_dir: std::path::absolute(arguments.runtime_dir)
            .context("cannot use --runtime-dir")?,
        state_dir: std::path::absolute(arguments.state_dir).context("cannot use --state-dir")?,
        pin_dir: std::path::absolute(arguments.pin_dir).context("cannot use --pin-dir")?,
        keep_dataplane: arguments.keep_dataplane,
    })
}

fn direct(options: Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the tasks of the director")?;
    runtime.block_on(caribe_director::run(options))?;
    Ok(())
}
