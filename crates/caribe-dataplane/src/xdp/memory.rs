//! What the maps will take, told before they are made.

use std::fs;

use super::error::OpenError;
use super::maps::Sizes;

/// Bytes of kernel memory, all of it taken at the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// The connection tables of both families, with their tags and reply indexes.
    pub connections: u64,
    /// Services, servers, their slots and counters.
    pub table: u64,
}

impl Memory {
    /// All of it.
    pub fn total(self) -> u64 {
        self.connections + self.table
    }
}

/// What is left to the machine besides the maps, so that they are not the end of everything else.
const RESERVE: u64 = 64 << 20;

/// What the kernel keeps of its own for an element of a hash map: list, hash, and the pointer to
/// it.
const HASH_OVERHEAD: u64 = 48;

impl Sizes {
    /// What maps of these sizes take.
    pub(super) fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        for shape in self.shapes() {
            let value = u64::from(shape.value).next_multiple_of(8);
            let element = match shape.name {
                "COUNTERS" => value * u64::from(self.processors),
                "SERVICES4" | "SERVICES6" | "VIPS" | "NAT_ENDS" | "DESTINATIONS" => {
                    value + u64::from(shape.key).next_multiple_of(8) + HASH_OVERHEAD
                }
                _ => value,
            };
            let bytes = u64::from(shape.entries) * element;
            match shape.name {
                "TAGS4" | "CONNECTIONS4" | "REPLIES4" | "TAGS6" | "CONNECTIONS6" | "REPLIES6" => {
                    memory.connections += bytes;
                }
                _ => memory.table += bytes,
            }
        }
        memory
    }
}

/// Refuses sizes that the machine has no memory for now.
///
/// # Errors
///
/// [`OpenError::Memory`].
pub(super) fn check(needed: Memory) -> Result<(), OpenError> {
    let available = match available() {
        Ok(available) => available,
        Err(problem) => {
            tracing::warn!(%problem, "cannot tell whether there is memory for the maps");
            return Ok(());
        }
    };
    if needed.total().saturating_add(RESERVE) > available {
        return Err(OpenError::Memory {
            needed: needed.total() >> 20,
            connections: needed.connections >> 20,
            available: available >> 20,
        });
    }
    Ok(())
}

/// Bytes that a new program may have without swapping, by the kernel's own estimate.
fn available() -> Result<u64, String> {
    let path = "/proc/meminfo";
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    parse(&text).ok_or_else(|| format!("{path} has no line `MemAvailable`"))
}

fn parse(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Room;
    use caribe_packet::table::buckets_for;

    #[test]
    fn ten_million_connections_take_what_the_manual_says() {
        let sizes = Sizes {
            room: Room {
                services: 10_000,
                servers: 100_000,
                slots: 1 << 20,
                cursors: 40_001,
            },
            buckets: buckets_for(10_000_000),
            processors: 2,
        };
        let memory = sizes.memory();
        // 122 bytes and 229 bytes a connection of each family.
        let per_pair = memory.connections / 10_000_000;
        assert!((345..360).contains(&per_pair), "{memory:?}");
        assert!(memory.table < 100 << 20, "{memory:?}");
    }

    #[test]
    fn the_kernels_estimate_is_read() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:     1024 kB\n";
        assert_eq!(parse(text), Some(1 << 20));
        for text in ["", "MemAvailable: much\n", "MemAvailable: 5 MB\n"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(available().expect("this kernel tells") > 0);
    }

    #[test]
    fn what_no_machine_has_is_refused_with_what_to_lower() {
        let needed = Memory {
            connections: 1 << 60,
            table: 0,
        };
        let refused = check(needed).expect_err("no machine has that").to_string();
        assert!(refused.contains("`connections`"), "{refused}");
        check(Memory::default()).expect("nothing is always there");
    }
}
