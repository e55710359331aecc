//! What a service asks for beside its scheduler, as the packet path reads it, and back.

use std::net::Ipv4Addr;

use caribe_model::{Family, MssClamp, Netmask, Persistence, ReuseMode};
use caribe_packet::policy::{
    CACHE_BYPASS, EXPIRE_NODEST_CONN, EXPIRE_QUIESCENT_TEMPLATE, MSS_AUTO, NO_PMTU_DISCOVERY,
    ONE_PACKET, PERSISTENT, Policy, SECURE_TCP, SLOPPY_SCTP, SLOPPY_TCP,
};

use crate::table::Terms;

/// The entry of a service.
pub(super) fn encode(terms: &Terms) -> Policy {
    let policy = &terms.policy;
    let (mss_flag, mss) = match policy.mss_clamp {
        MssClamp::Off => (false, 0),
        MssClamp::Auto => (true, 0),
        MssClamp::Bytes(bytes) => (false, bytes),
    };
    let bits = [
        (terms.persistence.is_some(), PERSISTENT),
        (terms.one_packet, ONE_PACKET),
        (policy.expire_nodest_conn, EXPIRE_NODEST_CONN),
        (policy.expire_quiescent_template, EXPIRE_QUIESCENT_TEMPLATE),
        (policy.sloppy_tcp, SLOPPY_TCP),
        (policy.sloppy_sctp, SLOPPY_SCTP),
        (policy.secure_tcp, SECURE_TCP),
        (policy.cache_bypass, CACHE_BYPASS),
        (!policy.pmtu_disc, NO_PMTU_DISCOVERY),
        (mss_flag, MSS_AUTO),
    ];
    let flags = bits
        .into_iter()
        .filter(|(set, _)| *set)
        .fold(0, |flags, (_, bit)| flags | bit);
    Policy {
        flags: flags | u32::from(policy.conn_reuse_mode.bits()) << Policy::REUSE_SHIFT,
        timeout: terms
            .persistence
            .map_or(0, |persistence| persistence.timeout),
        mask: terms
            .persistence
            .map_or([0; 16], |persistence| mask(persistence.netmask)),
        mss,
        padding: [0; 6],
    }
}

/// The other way; says what no director writes.
pub(super) fn decode(entry: &Policy, family: Family) -> Result<Terms, &'static str> {
    let persistence = if entry.has(PERSISTENT) {
        Some(Persistence {
            timeout: entry.timeout,
            netmask: netmask(&entry.mask, family)?,
        })
    } else {
        None
    };
    let reuse = (entry.flags >> Policy::REUSE_SHIFT & 3) as u8;
    Ok(Terms {
        persistence,
        one_packet: entry.has(ONE_PACKET),
        policy: caribe_model::Policy {
            expire_nodest_conn: entry.has(EXPIRE_NODEST_CONN),
            expire_quiescent_template: entry.has(EXPIRE_QUIESCENT_TEMPLATE),
            conn_reuse_mode: ReuseMode::from_bits(reuse).ok_or("conn_reuse_mode is over 3")?,
            sloppy_tcp: entry.has(SLOPPY_TCP),
            sloppy_sctp: entry.has(SLOPPY_SCTP),
            secure_tcp: entry.has(SECURE_TCP),
            cache_bypass: entry.has(CACHE_BYPASS),
            pmtu_disc: !entry.has(NO_PMTU_DISCOVERY),
            mss_clamp: match (entry.has(MSS_AUTO), entry.mss) {
                (true, _) => MssClamp::Auto,
                (false, 0) => MssClamp::Off,
                (false, bytes) => MssClamp::Bytes(bytes),
            },
        },
    })
}

/// The bits that count.
fn mask(netmask: Netmask) -> [u8; 16] {
    match netmask {
        Netmask::V4(mask) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&mask.octets());
            bytes
        }
        // The table takes no prefix of 0 bits, and none over 128.
        Netmask::V6(prefix) => u128::MAX
            .checked_shl(128_u32.saturating_sub(prefix.into()))
            .unwrap_or(0)
            .to_be_bytes(),
    }
}

fn netmask(mask: &[u8; 16], family: Family) -> Result<Netmask, &'static str> {
    match family {
        Family::V4 => {
            let [a, b, c, d, ..] = *mask;
            Ok(Netmask::V4(Ipv4Addr::new(a, b, c, d)))
        }
        Family::V6 => {
            let bits = u128::from_be_bytes(*mask);
            let prefix = bits.leading_ones();
            if prefix == 0 || prefix + bits.trailing_zeros() != 128 && prefix != 128 {
                return Err("the netmask is no prefix");
            }
            // 128 at most.
            Ok(Netmask::V6(prefix as u8))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_terms() -> impl Strategy<Value = (Terms, Family)> {
        let persistence = |netmask: BoxedStrategy<Netmask>| {
            prop::option::of(
                (1..=Persistence::LONGEST, netmask)
                    .prop_map(|(timeout, netmask)| Persistence { timeout, netmask }),
            )
        };
        let v4 = persistence(
            any::<[u8; 4]>()
                .prop_map(|mask| Netmask::V4(mask.into()))
                .boxed(),
        );
        let v6 = persistence((1u8..=128).prop_map(Netmask::V6).boxed());
        let family = prop_oneof![
            v4.prop_map(|persistence| (persistence, Family::V4)),
            v6.prop_map(|persistence| (persistence, Family::V6)),
        ];
        let mss = prop_oneof![
            Just(MssClamp::Off),
            Just(MssClamp::Auto),
            (1u16..).prop_map(MssClamp::Bytes),
        ];
        (family, any::<[bool; 8]>(), 0u8..4, mss).prop_map(
            |((persistence, family), [a, b, c, d, e, f, g, h], reuse, mss_clamp)| {
                let policy = caribe_model::Policy {
                    expire_nodest_conn: a,
                    expire_quiescent_template: b,
                    conn_reuse_mode: ReuseMode::from_bits(reuse).expect("below 4"),
                    sloppy_tcp: c,
                    sloppy_sctp: d,
                    secure_tcp: e,
                    cache_bypass: f,
                    pmtu_disc: g,
                    mss_clamp,
                };
                let terms = Terms {
                    persistence,
                    one_packet: h,
                    policy,
                };
                (terms, family)
            },
        )
    }

    proptest! {
        #[test]
        fn terms_come_back_as_they_were((terms, family) in any_terms()) {
            prop_assert_eq!(decode(&encode(&terms), family), Ok(terms));
        }
    }

    #[test]
    fn what_no_director_writes_is_told() {
        let holes = Policy {
            flags: PERSISTENT,
            mask: [0xff, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ..Policy::default()
        };
        assert_eq!(decode(&holes, Family::V6), Err("the netmask is no prefix"));
        decode(&holes, Family::V4).expect("IPv4 has masks of any bits");
    }
}
