//! What belongs to parts of Piranha that Caribe does not have.

use crate::keys::{Key, Kind, Topic};

use super::{global, in_virtual};

pub(super) const KEYS: &[Key] = &[
    global("hard_shutdown", Kind::Boolean)
        .default("1")
        .not_yet(Topic::Obsolete)
        .meaning("1: the death of a monitor process stopped Piranha's balancer."),
    global("ipvsadm", Kind::Text)
        .default("/sbin/ipvsadm")
        .not_yet(Topic::Obsolete)
        .meaning("Path of the program that Piranha set the kernel's table with."),
    global("debug_level", Kind::Text)
        .default("NONE")
        .not_yet(Topic::Obsolete)
        .meaning("Never read by Piranha's daemons."),
    global("sync", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Obsolete)
        .meaning("Old switch for the copying of files between directors; never read."),
    global(
        "reservation_conflict_action",
        Kind::Word(&["nothing", "preempt"]),
    )
    .not_yet(Topic::Obsolete)
    .meaning("For shared SCSI disks in fos mode."),
    global("primary_shared", Kind::Text)
        .not_yet(Topic::Obsolete)
        .meaning("Shared SCSI disk of the primary director, in fos mode."),
    global("backup_shared", Kind::Text)
        .not_yet(Topic::Obsolete)
        .meaning("Shared SCSI disk of the backup director, in fos mode."),
    global("debug", Kind::Text)
        .misnomer("read as `debug_level`")
        .meaning("The name that Piranha's manual page has for `debug_level`."),
    in_virtual("client_monitor", Kind::Text)
        .default("/usr/sbin/nanny")
        .not_yet(Topic::Obsolete)
        .meaning("Path of Piranha's monitor program."),
    in_virtual("master", Kind::Host)
        .not_yet(Topic::Obsolete)
        .meaning("Of a file mirror that Piranha never finished."),
    in_virtual("dirs", Kind::List)
        .not_yet(Topic::Obsolete)
        .meaning("Of the same; a list, `[ a b ]`."),
    in_virtual("start_cmd", Kind::Text)
        .not_yet(Topic::Obsolete)
        .meaning("Start command of a `failover` service."),
    in_virtual("stop_cmd", Kind::Text)
        .not_yet(Topic::Obsolete)
        .meaning("Stop command of a `failover` service."),
    in_virtual("expect_program", Kind::EscapedText)
        .misnomer("read as `expect` when there is a `send_program`, and ignored otherwise")
        .meaning("Hidden field of Piranha's web tool."),
    in_virtual("deadtime", Kind::Anything)
        .misnomer("ignored")
        .meaning("Written here by some versions of Piranha's web tool."),
];
