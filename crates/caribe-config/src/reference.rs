//! The manual's page of all keys, made from the key table.

use std::fmt::Write;

use crate::keys::{Effect, Fallback, KEYS, Key, Kind, Origin, Place};
use crate::settings::expectation;

const HEAD: &str = "\
# lvs.cf: every key

<!-- Made from the key table of crates/caribe-config/src/keys/table.rs; to make it anew:
     CARIBE_REFRESH=1 cargo test -p caribe-config --test reference -->

A file has statements, `key = value`, one on a line, and blocks:

```
serial_no = 1                       # a comment
network = direct
virtual shop {
    active = 1
    address = 192.0.2.80 eth0:1     # the VIP, and what carries it
    port = 80
    server web1 {
        active = 1
        address = 192.0.2.101
        weight = 2
    }
}
```

* A text with blanks stands in double or single quotes; inside them `\\\"` is a quotation mark. In
  `send`, `expect` and `expect_program` also `\\n`, `\\r`, `\\t` and `\\\\` are replaced; any other
  backslash stays.
* Numbers are written as in C: `10`, `0x1f`, and octal with a leading 0 (with a warning).
* Addresses are IPv4 or IPv6. A host name is looked up once, when the file is read; an IPv4 address
  of it is preferred.
* A key that is set twice counts the second time, with a warning. Keys may come in any order.
* An unknown key is an error. All errors are reported at once; a file with an error changes nothing.
* What is not active is checked for its own values only, not against the rest of the file.
* `caribe check --strict` also refuses what Piranha 0.8.6 refused: blanks missing round `=`, comments
  behind a statement, CR LF, Caribe's own keys and values, and so on.

Defaults are those of Piranha and of IPVS, also where there is something better. `caribe check`
recommends it, with the reason, for a file in which it matters:

* `expire_nodest_conn = 1` for UDP: clients of a removed server find another one.
* `expire_quiescent_template = 1` for `persistent` services: clients leave a quiesced server.
* `scheduler_flags = sh-fallback` or `mh-fallback`: the same for these schedulers.
* `scheduler = mh`, or smaller weights of the same ratios, where `sh` makes something else of the
  weights than they say, by more than a hundredth of all clients: its table has 256 places, of which
  the servers, the last of the file first, take in turns as many as their weights say. Weights that
  add up to a divisor of 256 are met exactly, others the better the less they add up to.
* `conn_reuse_mode = 1`, its default, where advice for Kubernetes has brought a 0 into the file.

IPVS's sysctls are keys of the same names. `amemthresh` is not: IPVS compares the machine's free
memory with it, and Caribe's table has its memory from the start, so the automatic defences
(`drop_entry`, `drop_packet`, `secure_tcp`) go by how full the table is.

A key marked *Caribe* is not Piranha's. *Not yet* means that the key is read and kept, and that
nothing in this release acts on it: it is named in a warning unless its value asks for nothing.

";

const MONITORS: &str = "\
## In a `monitor` block, inside a `virtual` or a `server` block

A `monitor` block (*Caribe*) is named after its kind, and says how servers are watched:

```
virtual shop {
    address = 192.0.2.80 eth0:1
    monitor http {
        path = /health
        host = shop.example
        status = 200-299,301
    }
    server web1 {
        address = 192.0.2.101
        monitor tcp {
            port = 8443
        }
    }
}
```

Kinds are `tcp` (a connection is accepted), `http` and `https`, `tls` (a handshake succeeds), `udp`,
`dns`, `smtp`, `ping`, `script`, `grpc` (the health service), and `agent` (a text in the manner of
HAProxy's agent checks). There may be several, of one kind or of many: a server is good when all of
its own and all of its service's are. Piranha's single check is then done only if one of its keys
(`monitor`, `send`, `expect`, `send_program`) is there.

In `send`, `payload` and `expect` of these blocks `\\xHH` stands for any byte.

";

/// The reference of all keys, in Markdown; docs/lvs.cf.md is this text.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for place in Place::ALL {
        text.push_str(match place {
            Place::Global => "## Outside all blocks\n\n",
            Place::Virtual => "## In a `virtual` block\n\n",
            Place::Server => "## In a `server` block, inside a `virtual` block\n\n",
            Place::Monitor => MONITORS,
            Place::Mark => {
                "## In a `mark` block\n\nMark rules (*Caribe*) feed services with an `fwmark`; \
                 netfilter's own marks come too late for them. When several rules match a packet, \
                 the last in the file counts, as with netfilter's `MARK`. `caribe import marks` \
                 makes such blocks from the rules of iptables and nftables.\n\n"
            }
            Place::Failover => {
                "## In a `failover` block\n\nBlocks of Piranha's fos mode are read and ignored, \
                 with a warning. Piranha's keys of a `virtual` block may stand in them, and:\n\n"
            }
        });
        text.push_str("| key | value | default | meaning | |\n|---|---|---|---|---|\n");
        for key in KEYS.iter().filter(|key| key.place == place) {
            row(&mut text, key);
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn row(text: &mut String, key: &Key) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "| `{}` | {} | {} | {} | {} |",
        key.name,
        values(key),
        default(key),
        meaning(key),
        status(key)
    );
}

fn meaning(key: &Key) -> String {
    if key.monitors.is_empty() {
        return key.meaning.to_owned();
    }
    let kinds: Vec<String> = key
        .monitors
        .iter()
        .map(|kind| format!("`{kind}`"))
        .collect();
    format!("{}: {}", kinds.join(", "), key.meaning)
}

fn values(key: &Key) -> String {
    let values = expectation(key);
    match key.kind {
        Kind::Port {
            piranha_takes_names: false,
            ..
        } => format!("{values} (*Caribe*)"),
        _ => values,
    }
}

fn default(key: &Key) -> String {
    match key.default {
        Fallback::Value(value) => format!("`{value}`"),
        Fallback::Derived(words) => words.to_owned(),
        Fallback::Unset => "unset".to_owned(),
        Fallback::Required => "required".to_owned(),
    }
}

fn status(key: &Key) -> String {
    match (key.origin, key.effect) {
        (Origin::Misnomer { instead }, _) => format!("*misnomer*: {instead}"),
        (Origin::Caribe, Effect::NotYet(_)) => "*Caribe, not yet*".to_owned(),
        (Origin::Caribe, _) => "*Caribe*".to_owned(),
        (_, Effect::NotYet(crate::keys::Topic::Obsolete)) => "*no effect*".to_owned(),
        (_, Effect::NotYet(_)) => "*not yet*".to_owned(),
        _ => String::new(),
    }
}
