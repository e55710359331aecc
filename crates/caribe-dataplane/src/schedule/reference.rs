//! Schedulers as their rules are told, a pick at a time: what the runs are tested against. Servers are listed newest first.

use caribe_model::Scheduler;

use super::Member;

/// Round robin.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    /// Newest first.
    pub(super) list: Vec<Member>,
    last: Option<u32>,
}

impl RoundRobin {
    pub(super) fn add(&mut self, member: Member) {
        self.list.insert(0, member);
    }

    pub(super) fn remove(&mut self, server: u32) {
        let position = position(&self.list, server);
        if self.last == Some(server) {
            self.last = if position == 0 {
                None
            } else {
                Some(self.list[position - 1].server)
            };
        }
        self.list.remove(position);
    }

    pub(super) fn edit(&mut self, server: u32, weight: u32) {
        let position = position(&self.list, server);
        self.list[position].weight = weight;
    }

    pub(super) fn pick(&mut self) -> Option<u32> {
        let count = self.list.len();
        let start = self.last.map_or(0, |last| position(&self.list, last) + 1);
        for step in 0..count {
            let member = self.list[(start + step) % count];
            if member.weight > 0 {
                self.last = Some(member.server);
                return self.last;
            }
        }
        None
    }
}

/// Weighted round robin: `cl`, `cw`, `mw` and `di` as in IPVS.
#[derive(Debug)]
pub(super) struct Weighted {
    /// Newest first.
    pub(super) list: Vec<Member>,
    /// Position of the current element; `None` is the list's head.
    cl: Option<usize>,
    cw: i64,
    mw: i64,
    di: i64,
}

impl Weighted {
    pub(super) fn new(list: Vec<Member>) -> Self {
        let mut new = Weighted {
            list,
            cl: None,
            cw: 0,
            mw: 0,
            di: 1,
        };
        new.measure();
        new.cw = new.mw;
        new
    }

    fn measure(&mut self) {
        let weights = || self.list.iter().map(|member| i64::from(member.weight));
        let largest = weights().max().unwrap_or(0);
        self.di = (1..=largest)
            .rev()
            .find(|divisor| weights().all(|weight| weight % divisor == 0))
            .unwrap_or(1);
        self.mw = largest - (self.di - 1);
    }

    fn changed(&mut self) {
        self.cl = None;
        self.measure();
        if self.cw > self.mw || self.cw == 0 {
            self.cw = self.mw;
        } else if self.di > 1 {
            self.cw = (self.cw / self.di) * self.di + 1;
        }
    }

    pub(super) fn add(&mut self, member: Member) {
        self.list.insert(0, member);
        self.changed();
    }

    pub(super) fn remove(&mut self, server: u32) {
        self.list.remove(position(&self.list, server));
        self.changed();
    }

    pub(super) fn edit(&mut self, server: u32, weight: u32) {
        let position = position(&self.list, server);
        self.list[position].weight = weight;
        self.changed();
    }

    pub(super) fn pick(&mut self) -> Option<u32> {
        if self.mw == 0 {
            return None;
        }
        loop {
            let from = self.cl.map_or(0, |position| position + 1);
            for position in from..self.list.len() {
                if i64::from(self.list[position].weight) >= self.cw {
                    self.cl = Some(position);
                    return Some(self.list[position].server);
                }
            }
            self.cl = None;
            self.cw -= self.di;
            if self.cw <= 0 {
                self.cw = self.mw;
            }
        }
    }
}

/// The schedulers that look at loads, each as its rule is told. `loads` is active and inactive
/// connections by server.
pub(super) fn by_load(
    scheduler: Scheduler,
    list: &[Member],
    loads: &dyn Fn(u32) -> (u64, u64),
) -> Option<u32> {
    let available = || list.iter().filter(|member| member.weight > 0);
    let active = |member: &Member| loads(member.server).0;
    let overhead = |member: &Member| loads(member.server).0 * 256 + loads(member.server).1;
    // `max_by` and the like take the last of equals, IPVS the first.
    let first_best = |is_better: &dyn Fn(&Member, &Member) -> bool| {
        available().fold(None, |best: Option<&Member>, member| match best {
            Some(best) if !is_better(member, best) => Some(best),
            _ => Some(member),
        })
    };
    let lightest = |cost: &dyn Fn(&Member) -> u64| {
        first_best(&|one, other| {
            u128::from(cost(one)) * u128::from(other.weight)
                < u128::from(cost(other)) * u128::from(one.weight)
        })
    };
    let best = match scheduler {
        Scheduler::Lc => first_best(&|one, other| overhead(one) < overhead(other)),
        Scheduler::Wlc => lightest(&overhead),
        Scheduler::Sed => lightest(&|member| active(member) + 1),
        Scheduler::Nq => available()
            .find(|member| active(member) == 0)
            .or_else(|| lightest(&|member| active(member) + 1)),
        Scheduler::Fo => first_best(&|one, other| one.weight > other.weight),
        Scheduler::Ovf => {
            let has_room = |member: &&Member| active(member) <= u64::from(member.weight);
            let largest = available()
                .filter(has_room)
                .map(|member| member.weight)
                .max();
            available()
                .filter(has_room)
                .find(|member| Some(member.weight) == largest)
        }
        other => panic!("{other} does not look at loads"),
    };
    best.map(|member| member.server)
}

fn position(list: &[Member], server: u32) -> usize {
    list.iter()
        .position(|member| member.server == server)
        .expect("a server of the list")
}
