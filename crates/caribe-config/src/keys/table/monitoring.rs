//! How real servers are watched: Piranha's keys and Caribe's beside them.

use crate::keys::{Fallback, Key, Kind};

use super::{INT_MAX, SECONDS, SECONDS_FROM_ONE, global, in_virtual};

const QUORUM: Kind = Kind::Integer {
    min: 1,
    max: INT_MAX,
};

pub(super) const KEYS: &[Key] = &[
    global("rsh_command", Kind::Command)
        .default("rsh")
        .meaning("Remote shell for `load_monitor = uptime`."),
    in_virtual("monitor", Kind::Word(&["tcp", "none"]))
        .caribe()
        .fallback(Fallback::Derived(
            "`tcp` for TCP services, `none` for others",
        ))
        .meaning(
            "How a server is found good, besides `monitor` blocks: `tcp` by connecting to its address and port by TCP (also \
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
        .meaning(
            "Where a server's load comes from, by which its weight is changed: `none`, `rup` \
             (rstatd), `ruptime` (rwhod), `uptime` (by `rsh_command`), `ssh` (uptime by ssh), \
             `agent` (a text that the server gives on `agent_port`), or a command that prints \
             the load, called with the server's address.",
        ),
    in_virtual(
        "agent_port",
        Kind::Integer {
            min: 1,
            max: u16::MAX as i64,
        },
    )
    .caribe()
    .meaning("TCP port of the agent of `load_monitor = agent`."),
    in_virtual("load_interval", Kind::Time)
        .caribe()
        .fallback(Fallback::Derived(
            "`timeout`, or for one below 20 seconds the most of it that fits in them, as nanny \
             does",
        ))
        .meaning("Time between two looks at a server's load."),
    in_virtual("slow_start", Kind::TimeOr(&["nanny", "off"]))
        .caribe()
        .default("nanny")
        .neutral(&["off"])
        .meaning(
            "How a server that comes back gets its weight: it begins with a 32nd and doubles. \
             `nanny`: about every 20 seconds, as in Piranha; a time: so often; `off`: it has all \
             of it at once.",
        ),
    in_virtual("quorum", QUORUM)
        .caribe()
        .default("1")
        .unit("servers")
        .meaning("With fewer servers the service is down: the `sorry_server`, if any, takes over."),
    in_virtual("quorum_up", QUORUM)
        .caribe()
        .fallback(Fallback::Derived("`quorum`"))
        .unit("servers")
        .meaning("With so many it is up again; at least `quorum`."),
    in_virtual("keep_below", Kind::Integer { min: 0, max: 100 })
        .caribe()
        .default("0")
        .unit("percent")
        .meaning(
            "When fewer than this share of the servers would be left, those that fail are kept: \
             if all fail at once, it is the monitors that are wrong. 0: never.",
        ),
    in_virtual("notify", Kind::Command)
        .caribe()
        .fallback(Fallback::Derived("that of the file"))
        .meaning("As outside all blocks, for this service alone."),
    global("notify", Kind::Command)
        .caribe()
        .meaning(
            "Program that is run when a server or service goes up or down; what happened is in \
             its environment. Split at blanks, run without a shell.",
        ),
    in_virtual("send", Kind::EscapedText)
        .neutral(&[""])
        .meaning("Text that is sent after the connect."),
    in_virtual("expect", Kind::EscapedText)
        .neutral(&[""])
        .meaning("Text that is expected then, or from `send_program`."),
    in_virtual("use_regex", Kind::Boolean)
        .default("0")
        .meaning("1: `expect` is a POSIX extended regular expression."),
    in_virtual("send_program", Kind::Command)
        .neutral(&[""])
        .meaning("Program that checks a server instead of `send`; `%h` and `%p` are replaced."),
];
