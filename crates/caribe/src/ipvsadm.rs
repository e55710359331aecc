//! `caribe ipvsadm`, or this program under the name `ipvsadm`: the listing.

mod words;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use caribe_dataplane::Snapshot;
use caribe_director::ControlPaths;
use caribe_director::listing::{Numeric, listing};

use crate::arguments::RUNTIME_DIR;
use crate::names::SystemNames;
use crate::{client, output};
use words::{List, Refusal, Request};

/// The environment's way to say --runtime-dir, for scripts that call `ipvsadm`.
const RUNTIME_DIR_VARIABLE: &str = "CARIBE_RUNTIME_DIR";

/// ipvsadm's exit code for unknown options.
const UNKNOWN: u8 = 255;

pub(crate) fn run(program: &str, words: impl Iterator<Item = OsString>) -> ExitCode {
    // What is not text is no option, address or number either: the parser refuses it as it looks.
    let words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    match words::parse(&words) {
        Ok(Request::List(list)) => show(program, &list),
        Ok(Request::Help) => output::show(program, &usage(program), ExitCode::SUCCESS),
        Ok(Request::Version) => {
            let version = concat!(
                "ipvsadm of caribe ",
                env!("CARGO_PKG_VERSION"),
                " (lists as ipvsadm v1.31 with IPVS v1.2.1)\n"
            );
            output::show(program, version, ExitCode::SUCCESS)
        }
        Err(Refusal::NoCommand) => {
            eprintln!("Try `{program} -h' or '{program} --help' for more information.");
            ExitCode::from(UNKNOWN)
        }
        Err(Refusal::Unknown(option)) => {
            eprintln!("{option}: unknown option");
            ExitCode::from(UNKNOWN)
        }
        Err(refusal) => {
            eprintln!("{refusal}");
            ExitCode::from(2)
        }
    }
}

fn show(program: &str, list: &List) -> ExitCode {
    let directory = list
        .runtime_dir
        .clone()
        .or_else(|| std::env::var_os(RUNTIME_DIR_VARIABLE).map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(RUNTIME_DIR));
    let names = SystemNames::new();
    let only = match &list.service {
        None => None,
        Some(service) => match service.key(&names) {
            Ok(key) => Some(key),
            Err(refusal) => {
                eprintln!("{refusal}");
                return ExitCode::from(2);
            }
        },
    };
    let snapshot: Snapshot = match client::get(&directory, ControlPaths::SNAPSHOT) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            // ipvsadm's code for a kernel without IPVS.
            eprintln!("{program}: {error}");
            return ExitCode::from(2);
        }
    };
    let text = if list.numeric {
        listing(&snapshot, only.as_ref(), &Numeric)
    } else {
        listing(&snapshot, only.as_ref(), &names)
    };
    match text {
        Some(text) => output::show(program, &text, ExitCode::SUCCESS),
        // On standard output, as ipvsadm does.
        None => output::show(program, "No such service\n", ExitCode::FAILURE),
    }
}

fn usage(program: &str) -> String {
    format!(
        "\
Usage: {program} -L|-l|--list [-n|--numeric] [-t|-u SERVICE | -f MARK [-6]] [-X] [--sort]
       {program} -h|--help
       {program} -v|--version

Lists the live table of the running director as ipvsadm does; without words as -L. The table is
changed by the director's configuration file: edit it and send the director SIGHUP.

  -n, --numeric          addresses and ports as numbers
  -t, --tcp-service      one TCP service, as ADDRESS:PORT or [ADDRESS]:PORT
  -u, --udp-service      one UDP service
  -f, --fwmark-service   the service of a firewall mark; with -6 of IPv6
  --runtime-dir DIR      the director's runtime directory (or {RUNTIME_DIR_VARIABLE};
                         default {RUNTIME_DIR})
"
    )
}
