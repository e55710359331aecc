//! placeholder
use crate::repository::Repository;
use anyhow::Result;
use std::process::ExitCode;
/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// stay
    #[arg(long)]
    stay: bool,
}
pub(crate) fn run(_r: &Repository, a: &Arguments) -> Result<ExitCode> {
    let _ = a.stay;
    Ok(ExitCode::SUCCESS)
}
