//! Rules of netfilter in the guest, loaded and saved by its own tools.

mod lists;

use std::path::Path;
use std::process::Command;

use caribe_lab::guest::{GuestError, Initramfs};

use crate::PlayError;
use crate::play::{Rules, succeed};
use crate::scenario::{Netfilter, Tool};
pub(crate) use lists::scenarios;

/// All tools of iptables in one program.
pub(crate) const IPTABLES: &str = "xtables-nft-multi";

/// Where Debian keeps its extensions, and where the guest has them.
const EXTENSIONS: (&str, &str) = ("/usr/lib/x86_64-linux-gnu/xtables", "/xtables");

/// Those that lists use.
const USED: &[&str] = &[
    "libxt_MARK.so",
    "libxt_comment.so",
    "libxt_mark.so",
    "libxt_multiport.so",
    "libxt_sctp.so",
    "libxt_standard.so",
    "libxt_tcp.so",
    "libxt_udp.so",
];

/// Puts iptables into a guest.
pub(crate) fn add_tools(files: &mut Initramfs, program: &Path) -> Result<(), GuestError> {
    files.program(&Path::new("/bin").join(IPTABLES), program)?;
    let (from, to) = EXTENSIONS;
    for name in USED {
        files.file(&Path::new(to).join(name), &Path::new(from).join(name))?;
    }
    Ok(())
}

/// Loads all rules, saves them, and leaves in force those that have blocks.
pub(crate) fn load(netfilter: &Netfilter) -> Result<Rules, PlayError> {
    for (tool, list) in &netfilter.lists {
        succeed(&mut tool.restore(), list)?;
    }
    let mut text = String::new();
    for tool in &netfilter.saved_by {
        text += &succeed(&mut tool.save(), "")?;
    }
    let has_none = |line: &str| line.contains(Netfilter::NO_BLOCK);
    // Of a comment of iptables nft shows the blank behind it.
    let shows_none = |line: &str| has_none(line) || line.contains("  counter packets");
    let left_out = (1..).zip(text.lines()).filter(|(_, line)| shows_none(line));
    let left_out = left_out.map(|(number, _)| number).collect();
    // iptables keeps its rules in nftables, too.
    succeed(Command::new("nft").args(["flush", "ruleset"]), "")?;
    for (tool, list) in &netfilter.lists {
        let lines = list.lines().filter(|line| !has_none(line));
        let list: String = lines.flat_map(|line| [line, "\n"]).collect();
        succeed(&mut tool.restore(), &list)?;
    }
    Ok(Rules { text, left_out })
}

impl Tool {
    /// What reads a list on its standard input.
    fn restore(self) -> Command {
        match self {
            Tool::Iptables => iptables("iptables-restore"),
            Tool::Ip6tables => iptables("ip6tables-restore"),
            Tool::Nft => nft(&["-f", "-"]),
        }
    }

    fn save(self) -> Command {
        match self {
            Tool::Iptables => iptables("iptables-save"),
            Tool::Ip6tables => iptables("ip6tables-save"),
            Tool::Nft => nft(&["list", "ruleset"]),
        }
    }
}

fn iptables(name: &str) -> Command {
    let mut command = Command::new(IPTABLES);
    command.arg(name).env("XTABLES_LIBDIR", EXTENSIONS.1);
    command
}

/// It shows rules of iptables by iptables' extensions.
fn nft(arguments: &[&str]) -> Command {
    let mut command = Command::new("nft");
    command.args(arguments).env("XTABLES_LIBDIR", EXTENSIONS.1);
    command
}
