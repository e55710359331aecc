//! How real servers are watched: Piranha's keys and Caribe's beside them.

use crate::keys::{Fallback, Key, Kind, Topic};

use super::{SECONDS, SECONDS_FROM_ONE, global, in_virtual};

pub(super) const KEYS: &[Key] = &[
    global("rsh_command", Kind::Text)
        .default("rsh")
        .not_yet(Topic::Monitoring)
        .meaning("Remote shell for `load_monitor = uptime`."),
    in_virtual("monitor", Kind::Word(&["tcp", "none"]))
        .caribe()
        .fallback(Fallback::Derived(
            "`tcp` for TCP services, `none` for others",
        ))
        .meaning(
            "How a server is found good: `tcp` by connecting to its address and port by TCP (also \
             for services that are not TCP), `none` not at all: it is always taken as up.",
        ),
    in_virtual("timeout", SECONDS_FROM_ONE)
        .default("10")
        .seconds()
        .meaning("Interval between two checks of a server, and limit of each step of one."),
    in_virtual("reentry", SECONDS)
        .default("180")
        .seconds()
        .meaning("How long a server that failed must stay good before it serves again."),
    in_virtual("quiesce_server", Kind::Boolean)
        .default("0")
        .meaning("1: a failed server gets weight 0 instead of being removed."),
    in_virtual("load_monitor", Kind::Text)
        .default("none")
        .not_yet(Topic::Monitoring)
        .meaning("`none`, `rup`, `ruptime`, `uptime`, or a command that prints a server's load."),
    in_virtual("send", Kind::EscapedText)
        .not_yet(Topic::Monitoring)
        .neutral(&[""])
        .meaning("Text that is sent after the connect."),
    in_virtual("expect", Kind::EscapedText)
        .not_yet(Topic::Monitoring)
        .neutral(&[""])
        .meaning("Text that is expected then, or from `send_program`."),
    in_virtual("use_regex", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Monitoring)
        .meaning("1: `expect` is a POSIX extended regular expression."),
    in_virtual("send_program", Kind::Text)
        .not_yet(Topic::Monitoring)
        .neutral(&[""])
        .meaning("Program that checks a server instead of `send`; `%h` and `%p` are replaced."),
];
