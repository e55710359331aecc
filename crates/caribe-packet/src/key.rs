//! The identity of a connection, packed into words, and its hash.
//!
//! A [`Key`] names a flow from the client's side: client address and port, the address and port
//! that it talks to (the *peer*: the VIP in a request, the real server in a reply seen from the
//! client's side), protocol and kind. IPv4 packs into two words, IPv6 into five; equality and
//! hashing are loops over words, the same for both.

/// A flow's identity in `WORDS` 64-bit words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Key<const WORDS: usize> {
    words: [u64; WORDS],
}

/// Key of an IPv4 connection, 16 bytes.
pub type Key4 = Key<2>;
/// Key of an IPv6 connection, 40 bytes.
pub type Key6 = Key<5>;

/// What an entry of the connection table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A connection. Zero is no kind: a cleared slot equals no key.
    Connection = 1,
    /// A template: the server that a client's connections go to.
    Template = 2,
}

/// Where the kind begins in the last word of a key.
const KIND_SHIFT: u32 = 40;

/// Ports, protocol and kind: the last word of every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// Port of the client, network order.
    pub client_port: [u8; 2],
    /// Port of the peer, network order.
    pub peer_port: [u8; 2],
    /// IP protocol.
    pub protocol: u8,
}

impl Endpoints {
    #[inline(always)]
    const fn pack(self) -> u64 {
        let [a, b] = self.client_port;
        let [c, d] = self.peer_port;
        u64::from_le_bytes([a, b, c, d, self.protocol, Kind::Connection as u8, 0, 0])
    }

    const fn unpack(word: u64) -> Self {
        let [a, b, c, d, protocol, ..] = word.to_le_bytes();
        Endpoints {
            client_port: [a, b],
            peer_port: [c, d],
            protocol,
        }
    }
}

impl Key4 {
    /// Packs a key.
    #[inline(always)]
    pub const fn new(client: [u8; 4], peer: [u8; 4], endpoints: Endpoints) -> Self {
        let addresses = u32::from_le_bytes(client) as u64 | (u32::from_le_bytes(peer) as u64) << 32;
        Key {
            words: [addresses, endpoints.pack()],
        }
    }

    /// The client's address.
    #[inline(always)]
    pub const fn client(&self) -> [u8; 4] {
        (self.words[0] as u32).to_le_bytes()
    }

    /// The address that the client talks to.
    #[inline(always)]
    pub const fn peer(&self) -> [u8; 4] {
        ((self.words[0] >> 32) as u32).to_le_bytes()
    }
}

impl Key6 {
    /// Packs a key.
    #[inline(always)]
    pub const fn new(client: [u8; 16], peer: [u8; 16], endpoints: Endpoints) -> Self {
        let [a, b] = crate::ipv6::words(client);
        let [c, d] = crate::ipv6::words(peer);
        Key {
            words: [a, b, c, d, endpoints.pack()],
        }
    }

    /// The client's address.
    #[inline(always)]
    pub const fn client(&self) -> [u8; 16] {
        crate::ipv6::address([self.words[0], self.words[1]])
    }

    /// The address that the client talks to.
    #[inline(always)]
    pub const fn peer(&self) -> [u8; 16] {
        crate::ipv6::address([self.words[2], self.words[3]])
    }
}

impl<const WORDS: usize> Key<WORDS> {
    /// The key of a free slot; equal to no flow's key.
    pub const EMPTY: Self = Key { words: [0; WORDS] };

    /// Ports and protocol.
    #[inline(always)]
    pub const fn endpoints(&self) -> Endpoints {
        Endpoints::unpack(self.words[WORDS - 1])
    }

    /// The same parts as the key of a template.
    #[inline(always)]
    pub const fn into_template(mut self) -> Self {
        self.words[WORDS - 1] ^= (Kind::Connection as u64 ^ Kind::Template as u64) << KIND_SHIFT;
        self
    }

    /// What the entry is, as a number of [`Kind`]; 0 for a free slot.
    #[inline(always)]
    pub const fn kind(&self) -> u8 {
        (self.words[WORDS - 1] >> KIND_SHIFT) as u8
    }

    /// True when both name the same flow.
    #[inline(always)]
    pub fn is(&self, other: &Self) -> bool {
        let mut difference = 0;
        let mut at = 0;
        while at < WORDS {
            difference |= self.words[at] ^ other.words[at];
            at += 1;
        }
        difference == 0
    }

    /// A 64-bit hash under a secret seed: a multiply and a fold per word. Nobody who does not know
    /// the seed can aim many flows at one bucket.
    #[inline(always)]
    pub fn hash(&self, seed: [u64; 2]) -> u64 {
        let mut hash = seed[0];
        let mut at = 0;
        while at < WORDS {
            hash = (hash ^ self.words[at]).wrapping_mul(MULTIPLIER);
            hash ^= hash >> 32;
            at += 1;
        }
        hash = (hash ^ seed[1]).wrapping_mul(MULTIPLIER);
        hash = (hash ^ hash >> 29).wrapping_mul(MULTIPLIER);
        hash ^ hash >> 32
    }
}

/// An odd constant with well-spread bits (that of SplitMix64's second step).
const MULTIPLIER: u64 = 0x94d0_49bb_1331_11eb;

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINTS: Endpoints = Endpoints {
        client_port: [0xc3, 0x50],
        peer_port: [0, 80],
        protocol: 6,
    };

    #[test]
    fn keys_unpack_to_what_was_packed() {
        let key = Key4::new([192, 0, 2, 1], [198, 51, 100, 7], ENDPOINTS);
        assert_eq!(
            (key.client(), key.peer(), key.endpoints()),
            ([192, 0, 2, 1], [198, 51, 100, 7], ENDPOINTS)
        );
        let (client, peer) = (core::array::from_fn(|at| at as u8), [9; 16]);
        let key = Key6::new(client, peer, ENDPOINTS);
        assert_eq!(
            (key.client(), key.peer(), key.endpoints()),
            (client, peer, ENDPOINTS)
        );
    }

    #[test]
    fn a_template_equals_no_connection() {
        let key = Key4::new([192, 0, 2, 1], [198, 51, 100, 7], ENDPOINTS);
        let template = key.into_template();
        assert!(!template.is(&key));
        assert_eq!(
            (template.client(), template.peer(), template.endpoints()),
            (key.client(), key.peer(), key.endpoints())
        );
        let kinds = [key.kind(), template.kind(), Key4::EMPTY.kind()];
        assert_eq!(kinds, [Kind::Connection as u8, Kind::Template as u8, 0]);
    }

    #[test]
    fn no_flow_equals_a_free_slot() {
        let nothing = Endpoints {
            client_port: [0, 0],
            peer_port: [0, 0],
            protocol: 0,
        };
        assert!(!Key4::new([0; 4], [0; 4], nothing).is(&Key4::EMPTY));
        assert!(!Key6::new([0; 16], [0; 16], nothing).is(&Key6::EMPTY));
    }

    /// Flipping any one input bit flips each output bit in about half of the cases.
    #[test]
    fn hash_avalanches() {
        let samples = 2000;
        let mut flips = [[0u32; 64]; 128];
        for sample in 0..samples {
            let words = [sample * 0x1234_5677, sample << 16 | 6];
            let hash = Key { words }.hash([1, 2]);
            for (bit, flips) in flips.iter_mut().enumerate() {
                let mut other = words;
                other[bit / 64] ^= 1 << (bit % 64);
                let changed = hash ^ Key { words: other }.hash([1, 2]);
                for (out, count) in flips.iter_mut().enumerate() {
                    *count += (changed >> out & 1) as u32;
                }
            }
        }
        // Bits that choose a bucket or a tag; a fair coin stays within these bounds.
        let mut worst = 0.5_f64;
        for flips in &flips {
            for count in flips {
                let share = f64::from(*count) / samples as f64;
                if (share - 0.5).abs() > (worst - 0.5).abs() {
                    worst = share;
                }
            }
        }
        assert!(
            (0.25..0.75).contains(&worst),
            "an output bit flips in {worst} of the cases"
        );
    }
}
