//! Settings that concern every service alike: what the packet path reads of them, and when a
//! defence is in effect.

use caribe_model::{Defence, Tuning};
use caribe_packet::settings::{NAT_ICMP_SEND, SCHEDULE_ICMP, Settings, ticks_of_seconds};

use super::XdpDataplane;

/// An automatic defence is in effect while the connection table is fuller than this many parts
/// of 16.
const NEARLY_FULL: u64 = 14;

/// True while a defence is in effect, with so many connections alive.
pub(super) fn is_in_effect(defence: Defence, alive: u64, capacity: u64) -> bool {
    match defence {
        Defence::Off => false,
        Defence::Automatic => alive * 16 >= capacity * NEARLY_FULL,
        Defence::On => true,
    }
}

/// The settings of the packet path under a tuning, with so many connections alive.
fn tuned(settings: Settings, tuning: &Tuning, alive: u64, capacity: u64) -> Settings {
    let bit = |set: bool, bit: u32| if set { bit } else { 0 };
    Settings {
        flood_guard: tuning.flood_guard,
        drop_rate: if is_in_effect(tuning.drop_packet, alive, capacity) {
            tuning.drop_rate.max(1)
        } else {
            0
        },
        lblcr_expiration: ticks_of_seconds(tuning.lblcr_expiration),
        flags: bit(tuning.nat_icmp_send, NAT_ICMP_SEND) | bit(tuning.schedule_icmp, SCHEDULE_ICMP),
        ..settings
    }
}

impl XdpDataplane {
    /// Writes what the packet path has to know, if it is not what it knows.
    pub(super) fn put_tuning(&mut self) {
        let known = self.maps.settings.read(0);
        let wanted = tuned(known, &self.tuning, self.alive, self.capacity());
        if wanted != known {
            self.maps.settings.write(0, &wanted);
        }
    }

    /// Connections of both families that there is room for: 4.8 to a bucket.
    pub(super) fn capacity(&self) -> u64 {
        u64::from(self.maps.sizes.buckets) * 48 / 10 * 2
    }
}

#[cfg(test)]
mod tests {
    use caribe_packet::state::STATES;

    use super::*;

    fn settings() -> Settings {
        Settings {
            seed: [1; 2],
            reply_seed: [2; 2],
            buckets4: 3,
            buckets6: 3,
            timeouts: [4; STATES],
            icmp_limit: 5,
            flood_guard: 0,
            drop_rate: 0,
            flags: 0,
            wide_services: 6,
            lblcr_expiration: 0,
            row: 0,
            layout: 7,
        }
    }

    #[test]
    fn packets_are_dropped_only_while_the_defence_is_in_effect() {
        let rate = |drop_packet, alive| {
            let tuning = Tuning {
                drop_packet,
                drop_rate: 4,
                ..Tuning::default()
            };
            tuned(settings(), &tuning, alive, 1600).drop_rate
        };
        assert_eq!(rate(Defence::Off, 1600), 0);
        assert_eq!(rate(Defence::Automatic, 1399), 0);
        assert_eq!(rate(Defence::Automatic, 1400), 4);
        assert_eq!(rate(Defence::On, 0), 4);
    }

    #[test]
    fn what_is_no_tuning_stays() {
        let tuning = Tuning {
            flood_guard: 9,
            schedule_icmp: true,
            ..Tuning::default()
        };
        let expected = Settings {
            flood_guard: 9,
            flags: SCHEDULE_ICMP,
            lblcr_expiration: ticks_of_seconds(86_400),
            ..settings()
        };
        assert_eq!(tuned(settings(), &tuning, 0, 100), expected);
    }
}
