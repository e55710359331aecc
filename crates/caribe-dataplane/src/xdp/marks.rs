//! The rules for firewall marks in the maps.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{MapData, MapError};
use caribe_packet::classify::{HEAD_BITS, INTERVALS, generation_in_force, word_of_generation};

use super::error::kernel;
use crate::DataplaneError;
use crate::mapped::MappedArray;
use crate::marks::Layout;

/// A destination of the trie, as bytes.
type Bytes4 = [u8; 8];
/// As above.
type Bytes6 = [u8; 20];

/// The maps of the rules.
pub(super) struct Marks {
    in_force: MappedArray<u64>,
    intervals: MappedArray<u64>,
    networks4: LpmTrie<MapData, Bytes4, [u32; 2]>,
    networks6: LpmTrie<MapData, Bytes6, [u32; 2]>,
}

impl Marks {
    /// Takes the maps out of a loaded object.
    pub(super) fn take(
        ebpf: &mut Ebpf,
        in_force: MappedArray<u64>,
        intervals: MappedArray<u64>,
    ) -> Result<Self, DataplaneError> {
        let mut trie = |name: &str| {
            let map = ebpf
                .take_map(name)
                .ok_or("the BPF object has no such map")
                .map_err(kernel(format!("open the map {name}")))?;
            Ok::<_, DataplaneError>(map)
        };
        let (of4, of6) = (trie("MARKS4")?, trie("MARKS6")?);
        Ok(Marks {
            in_force,
            intervals,
            networks4: LpmTrie::try_from(of4).map_err(kernel("open the map MARKS4"))?,
            networks6: LpmTrie::try_from(of6).map_err(kernel("open the map MARKS6"))?,
        })
    }

    /// Whether any rules are in force.
    pub(super) fn any(&self) -> bool {
        self.generation().is_some()
    }

    fn generation(&self) -> Option<u8> {
        generation_in_force(self.in_force.word(0).load(Ordering::Acquire))
    }

    /// Puts rules in force in the place of all others. Packets see these or those, never a mix;
    /// those before stay in the maps until the next change, for packets that are under way.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused; the rules before are then still in force.
    pub(super) fn put(&mut self, layout: &Layout) -> Result<(), DataplaneError> {
        let generation = self.generation().map_or(0, |current| 1 - current);
        self.forget(generation)?;
        let mut place = u32::from(generation) * INTERVALS;
        for network in &layout.0 {
            // Fewer than `INTERVALS`, which `Layout::of` has checked.
            let ports = [place, network.intervals.len() as u32];
            for interval in &network.intervals {
                self.intervals.write(place, &interval.0);
                place += 1;
            }
            let head = [generation, network.protocol.number(), 0, 0];
            let bits = HEAD_BITS + u32::from(network.prefix);
            let put = match network.address {
                IpAddr::V4(address) => {
                    let mut bytes: Bytes4 = [0; 8];
                    bytes[..4].copy_from_slice(&head);
                    bytes[4..].copy_from_slice(&address.octets());
                    self.networks4.insert(&Key::new(bits, bytes), ports, 0)
                }
                IpAddr::V6(address) => {
                    let mut bytes: Bytes6 = [0; 20];
                    bytes[..4].copy_from_slice(&head);
                    bytes[4..].copy_from_slice(&address.octets());
                    self.networks6.insert(&Key::new(bits, bytes), ports, 0)
                }
            };
            put.map_err(kernel(format!(
                "write the mark rules of {}/{}",
                network.address, network.prefix
            )))?;
        }
        let word = if layout.0.is_empty() {
            0
        } else {
            word_of_generation(generation)
        };
        self.in_force.word(0).store(word, Ordering::Release);
        Ok(())
    }

    /// Clears what a generation that is not in force has left.
    fn forget(&mut self, generation: u8) -> Result<(), DataplaneError> {
        let old: Result<Vec<_>, _> = self.networks4.keys().collect();
        for key in old.map_err(kernel("read the map MARKS4"))? {
            if key.data()[0] == generation {
                missing_is_fine(self.networks4.remove(&key))
                    .map_err(kernel("clear the map MARKS4"))?;
            }
        }
        let old: Result<Vec<_>, _> = self.networks6.keys().collect();
        for key in old.map_err(kernel("read the map MARKS6"))? {
            if key.data()[0] == generation {
                missing_is_fine(self.networks6.remove(&key))
                    .map_err(kernel("clear the map MARKS6"))?;
            }
        }
        Ok(())
    }
}

fn missing_is_fine(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::KeyNotFound) => Ok(()),
        other => other,
    }
}
