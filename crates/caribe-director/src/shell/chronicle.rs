//! The latest happenings, for clients that follow them.

use std::collections::VecDeque;

use tokio::sync::watch;

use crate::{Happening, HappeningsPage, Told};

/// How many are remembered; a client that asks less often misses some, and sees so by the gap in
/// their numbers.
const LENGTH: usize = 4096;

/// The latest happenings.
#[derive(Debug)]
pub(super) struct Chronicle {
    told: VecDeque<Told>,
    /// Wakes clients that wait for the next one.
    latest: watch::Sender<u64>,
}

impl Chronicle {
    pub(super) fn new() -> Self {
        Chronicle {
            told: VecDeque::new(),
            latest: watch::channel(0).0,
        }
    }

    /// Notes what happened `at` so many milliseconds after 1970.
    pub(super) fn note(&mut self, happening: Happening, at: u64) {
        let number = happening.number;
        if self.told.len() >= LENGTH {
            self.told.pop_front();
        }
        self.told.push_back(Told { at, happening });
        self.latest.send_replace(number);
    }

    /// What happened after the one with this number, and a way to learn of more.
    pub(super) fn after(&self, number: u64) -> (HappeningsPage, watch::Receiver<u64>) {
        let latest = self.latest.subscribe();
        let last = *latest.borrow();
        // Numbers begin anew with the director: a client that is ahead has followed another.
        let number = if number > last { 0 } else { number };
        let later = self
            .told
            .iter()
            .filter(|told| told.happening.number > number);
        let page = HappeningsPage {
            last,
            happenings: later.cloned().collect(),
        };
        (page, latest)
    }
}

#[cfg(test)]
mod tests {
    use caribe_model::{Protocol, ServiceKey};

    use super::*;
    use crate::What;

    fn happening(number: u64) -> Happening {
        Happening {
            number,
            service: ServiceKey::Address {
                protocol: Protocol::Tcp,
                address: [192, 0, 2, 1].into(),
                port: 80,
            },
            name: "web".to_owned(),
            server_name: None,
            what: What::Quorum { lost: true },
        }
    }

    fn numbers(page: &HappeningsPage) -> Vec<u64> {
        let happenings = page.happenings.iter();
        happenings.map(|told| told.happening.number).collect()
    }

    #[tokio::test]
    async fn clients_get_what_is_later_and_learn_of_more() {
        let mut chronicle = Chronicle::new();
        for number in 1..=5 {
            chronicle.note(happening(number), number * 1000);
        }
        let (page, mut more) = chronicle.after(3);
        assert_eq!((numbers(&page), page.last), (vec![4, 5], 5));
        assert_eq!(numbers(&chronicle.after(5).0), [] as [u64; 0]);
        assert_eq!(
            numbers(&chronicle.after(9).0),
            [1, 2, 3, 4, 5],
            "of an earlier director"
        );
        chronicle.note(happening(6), 6000);
        more.changed().await.expect("the chronicle lives");
        assert_eq!(numbers(&chronicle.after(5).0), [6]);
        for number in 7..=10_000 {
            chronicle.note(happening(number), number);
        }
        assert_eq!(chronicle.after(0).0.happenings.len(), LENGTH);
    }
}
