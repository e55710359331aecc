use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

fn key(host: u8) -> ServerKey {
    ServerKey {
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)),
        port: 80,
    }
}

const GOOD: Claim = Claim::Serves(5);
const BAD: Claim = Claim::Failed {
    weight: 5,
    quiesced: false,
};

fn claims(claims: &[Claim]) -> Vec<(ServerKey, Claim)> {
    (1..).map(key).zip(claims.iter().copied()).collect()
}

/// Servers with a weight above 0, by number, and whether the sorry server is in.
fn serving(placement: &Placement) -> (Vec<u8>, bool) {
    let number = |key: &ServerKey| match key.address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(_) => panic!("no such server"),
    };
    let weights = placement.weights.iter();
    let serving = weights.filter(|(_, weight)| **weight > 0);
    (
        serving.map(|(key, _)| number(key)).collect(),
        placement.sorry,
    )
}

fn run(rules: &PoolRules, history: &[&[Claim]]) -> Vec<(Vec<u8>, bool)> {
    let mut pool = Pool::default();
    let placed = history.iter().map(|step| pool.place(rules, &claims(step)));
    placed.map(|placement| serving(&placement)).collect()
}

#[test]
fn by_piranhas_rules_failed_servers_leave_and_the_sorry_server_comes_last() {
    let rules = PoolRules {
        sorry: true,
        ..PoolRules::default()
    };
    let seen = run(
        &rules,
        &[
            &[Claim::Awaited, Claim::Awaited],
            &[BAD, Claim::Awaited],
            &[BAD, GOOD],
            &[BAD, BAD],
            &[BAD, GOOD],
            &[Claim::Serves(0), Claim::Absent],
        ],
    );
    assert_eq!(
        seen,
        [
            (vec![], false),
            (vec![], false),
            (vec![2], false),
            (vec![], true),
            (vec![2], false),
            (vec![], true),
        ]
    );
}

#[test]
fn without_a_sorry_server_a_lost_quorum_is_only_told() {
    let rules = PoolRules {
        quorum: 2,
        regain: 3,
        ..PoolRules::default()
    };
    let mut pool = Pool::default();
    for (step, lost) in [
        ([GOOD, GOOD, BAD], false),
        ([GOOD, BAD, BAD], true),
        ([GOOD, GOOD, BAD], true),
        ([GOOD, GOOD, GOOD], false),
        ([GOOD, GOOD, BAD], false),
    ] {
        let placement = pool.place(&rules, &claims(&step));
        assert_eq!(pool.has_lost_quorum(), lost, "{step:?}");
        let good = step.iter().filter(|claim| **claim == GOOD).count();
        assert_eq!(placement.weights.len(), good);
        assert!(placement.weights.values().all(|weight| *weight == 5));
        assert!(!placement.sorry);
    }
}

#[test]
fn beside_a_sorry_server_what_is_left_is_quiesced() {
    let rules = PoolRules {
        quorum: 2,
        regain: 2,
        sorry: true,
        ..PoolRules::default()
    };
    let placement = Pool::default().place(&rules, &claims(&[GOOD, BAD]));
    assert_eq!(placement.weights, BTreeMap::from([(key(1), 0)]));
    assert!(placement.sorry);
}

#[test]
fn those_that_fail_together_are_kept() {
    let rules = PoolRules {
        keep_below: 50,
        ..PoolRules::default()
    };
    let seen = run(
        &rules,
        &[
            &[GOOD, GOOD, GOOD, GOOD],
            &[BAD, GOOD, GOOD, GOOD],
            &[BAD, BAD, GOOD, GOOD],
            // A quarter would be left: the third stays.
            &[BAD, BAD, BAD, GOOD],
            &[BAD, BAD, BAD, BAD],
            &[GOOD, BAD, BAD, BAD],
            // Half of them are good again: the failed ones leave.
            &[GOOD, GOOD, BAD, BAD],
            // One that is taken out by hand leaves, and does not count any more.
            &[GOOD, Claim::Absent, BAD, BAD],
            &[BAD, Claim::Absent, Claim::Absent, Claim::Absent],
        ],
    );
    let servers: Vec<Vec<u8>> = seen.into_iter().map(|(servers, _)| servers).collect();
    assert_eq!(
        servers,
        [
            vec![1, 2, 3, 4],
            vec![2, 3, 4],
            vec![3, 4],
            vec![3, 4],
            vec![3, 4],
            vec![1, 3, 4],
            vec![1, 2],
            vec![1],
            vec![1],
        ]
    );
}

#[test]
fn a_quiesced_server_that_fails_keeps_its_place_with_weight_0() {
    let failed = Claim::Failed {
        weight: 5,
        quiesced: true,
    };
    let placement = Pool::default().place(&PoolRules::default(), &claims(&[failed, GOOD]));
    let expected = BTreeMap::from([(key(1), 0), (key(2), 5)]);
    assert_eq!(placement.weights, expected);
}

fn any_claim() -> impl Strategy<Value = Claim> {
    prop_oneof![
        4 => (0u32..4).prop_map(Claim::Serves),
        1 => Just(Claim::Awaited),
        4 => (0u32..4, any::<bool>())
            .prop_map(|(weight, quiesced)| Claim::Failed { weight, quiesced }),
        1 => Just(Claim::Absent),
    ]
}

fn any_rules() -> impl Strategy<Value = PoolRules> {
    (0u32..5, 0u32..3, 0u8..=100, any::<bool>()).prop_map(|(quorum, more, keep_below, sorry)| {
        PoolRules {
            quorum,
            regain: quorum + more,
            keep_below,
            sorry,
        }
    })
}

proptest! {
    /// No sequence of claims leaves a server in the table that the rules put out, or the
    /// reverse: membership is what the rules say in words, step by step.
    #[test]
    fn membership_follows_from_the_rules(
        rules in any_rules(),
        history in prop::collection::vec(prop::collection::vec(any_claim(), 5), 1..40),
    ) {
        let mut pool = Pool::default();
        let mut before: BTreeSet<ServerKey> = BTreeSet::new();
        let mut lost = false;
        for step in history {
            let claims = claims(&step);
            let placement = pool.place(&rules, &claims);
            let good = step.iter().filter(|c| matches!(c, Claim::Serves(1..))).count();
            let bad = step
                .iter()
                .filter(|c| matches!(c, Claim::Failed { .. } | Claim::Awaited))
                .count();
            let too_few = good * 100 < usize::from(rules.keep_below) * (good + bad);
            let mut serving = BTreeSet::new();
            for (key, claim) in &claims {
                let kept = too_few && before.contains(key);
                let expected = match claim {
                    Claim::Serves(weight) => Some(*weight),
                    Claim::Failed { weight: weight @ 1.., .. } if kept => Some(*weight),
                    Claim::Failed { quiesced: true, .. } => Some(0),
                    Claim::Failed { .. } | Claim::Awaited | Claim::Absent => None,
                };
                if expected.is_some_and(|weight| weight > 0) {
                    serving.insert(*key);
                }
                let expected = expected.map(|weight| if placement.sorry { 0 } else { weight });
                prop_assert_eq!(placement.weights.get(key).copied(), expected, "{}", key);
            }
            let awaited = step.contains(&Claim::Awaited);
            let quorum = rules.quorum.max(1) as usize;
            let wanted = if lost { quorum.max(rules.regain as usize) } else { quorum };
            lost = serving.len() < wanted && (lost || !awaited);
            prop_assert_eq!(pool.has_lost_quorum(), lost);
            prop_assert_eq!(placement.sorry, lost && rules.sorry);
            prop_assert!(placement.sorry || !rules.sorry || serving.len() >= quorum || awaited);
            before = serving;
        }
    }
}
