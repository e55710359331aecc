//! The counters of traffic: a row of elements for each processor, which it alone writes.

use std::sync::atomic::Ordering;

use caribe_packet::server::Flow;

use crate::Traffic;
use crate::mapped::MappedArray;

/// The counters, mapped.
pub(super) struct TrafficMaps {
    /// What clients sent.
    pub(super) incoming: MappedArray<Flow>,
    /// What clients got.
    pub(super) outgoing: MappedArray<Flow>,
    /// Connections that were started.
    pub(super) started: MappedArray<u64>,
    /// Elements in a row.
    pub(super) row: u32,
}

impl TrafficMaps {
    /// The sums of an element over all processors. They are read while packets flow.
    pub(super) fn sum(&self, index: u32) -> Traffic {
        let mut sum = Traffic::default();
        for at in self.elements(index) {
            let (incoming, outgoing) = (self.incoming.read(at), self.outgoing.read(at));
            sum = sum.plus(&Traffic {
                connections: self.started.read(at),
                packets_in: incoming.packets,
                bytes_in: incoming.bytes,
                packets_out: outgoing.packets,
                bytes_out: outgoing.bytes,
            });
        }
        sum
    }

    /// Sets the sums of an element that no packet counts in: the first processor gets all of it.
    pub(super) fn set(&self, index: u32, sum: &Traffic) {
        let mut rest = *sum;
        for at in self.elements(index) {
            let words = [
                (&self.started.words(at)[0], rest.connections),
                (&self.incoming.words(at)[0], rest.packets_in),
                (&self.incoming.words(at)[1], rest.bytes_in),
                (&self.outgoing.words(at)[0], rest.packets_out),
                (&self.outgoing.words(at)[1], rest.bytes_out),
            ];
            for (word, value) in words {
                word.store(value, Ordering::Release);
            }
            rest = Traffic::default();
        }
    }

    fn elements(&self, index: u32) -> impl Iterator<Item = u32> + use<> {
        (index..self.started.len()).step_by(self.row as usize)
    }
}
