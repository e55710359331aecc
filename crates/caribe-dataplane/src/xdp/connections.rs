//! The connections, a part of the table at a time.

use super::XdpDataplane;
use super::connection_table::LiveConnection;
use crate::DataplaneError;

/// Buckets that one call of [`XdpDataplane::connections_from`] reads at most: some ten
/// milliseconds, in which nothing else is asked of the data plane.
const BUCKETS_AT_A_TIME: u64 = 1 << 16;

impl XdpDataplane {
    /// Some connections, from a place in the table on, until `each` has had enough or a bounded
    /// part of the table has been read. The answer is the place where the next call goes on,
    /// `None` at the end; the first place is 0. Every connection that lives through all the calls
    /// comes exactly once.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    pub fn connections_from(
        &self,
        place: u64,
        each: &mut dyn FnMut(LiveConnection) -> bool,
    ) -> Result<Option<u64>, DataplaneError> {
        let now = super::now()?;
        let servers = &self.maps.servers;
        let (of4, of6) = (&self.maps.connections4, &self.maps.connections6);
        let buckets4 = u64::from(of4.tags.len());
        let buckets = buckets4 + u64::from(of6.tags.len());
        let end = buckets.min(place.saturating_add(BUCKETS_AT_A_TIME));
        let mut more = true;
        for bucket in place..end {
            if !more {
                return Ok(Some(bucket));
            }
            let mut give = |connection: Option<LiveConnection>| {
                if let Some(connection) = connection {
                    more &= each(connection);
                }
            };
            // A bucket is given whole, so that a place is the number of one.
            match u32::try_from(bucket) {
                Ok(bucket) if u64::from(bucket) < buckets4 => {
                    for seen in of4.occupied_in(bucket) {
                        give(of4.show(seen.slot, servers, now));
                    }
                }
                _ => {
                    // Below the number of IPv6's buckets, which is a u32.
                    let bucket = (bucket - buckets4) as u32;
                    for seen in of6.occupied_in(bucket) {
                        give(of6.show(seen.slot, servers, now));
                    }
                }
            }
        }
        Ok((end < buckets).then_some(end))
    }
}
