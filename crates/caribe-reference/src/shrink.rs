//! Making a scenario smaller while its difference stays.

use crate::scenario::Scenario;

/// A scenario on its way to a small one. Trying a scenario is slow to begin and cheap in numbers,
/// so many candidates are tried at once: [`Shrinking::candidates`] gives them, and
/// [`Shrinking::learn`] takes what came out.
#[derive(Debug, Clone)]
pub struct Shrinking {
    /// The smallest that is known to differ.
    smallest: Scenario,
    /// Steps that are left out at a time.
    chunk: usize,
    /// Places of chunks that could be left out of `smallest`, each alone.
    loose: Vec<usize>,
    /// What each candidate leaves out.
    tried: Vec<Vec<usize>>,
}

impl Shrinking {
    /// Begins with a scenario that differs after the step with this number.
    pub fn new(scenario: &Scenario, step: usize) -> Shrinking {
        let mut smallest = scenario.clone();
        smallest.steps.truncate(step + 1);
        let chunk = smallest.steps.len().div_ceil(8).max(1);
        Shrinking {
            smallest,
            chunk,
            loose: Vec::new(),
            tried: Vec::new(),
        }
    }

    /// The smallest scenario so far.
    pub fn smallest(&self) -> &Scenario {
        &self.smallest
    }

    /// What to try next; none at the end.
    pub fn candidates(&mut self) -> Vec<Scenario> {
        let length = self.smallest.steps.len();
        let chunk_at = |start: usize| start..(start + self.chunk).min(length);
        self.tried = if self.loose.is_empty() {
            let starts = (0..length).step_by(self.chunk);
            starts.map(|start| chunk_at(start).collect()).collect()
        } else {
            // All that are loose, half of them, and so on: the most first.
            let mut counts = vec![self.loose.len()];
            while let Some(&last) = counts.last()
                && last > 1
            {
                counts.push(last / 2);
            }
            let together = |count: &usize| {
                let loose = self.loose[..*count].iter();
                loose.flat_map(|start| chunk_at(*start)).collect()
            };
            counts.iter().map(together).collect()
        };
        if self.chunk == 0 {
            self.tried.clear();
        }
        self.tried
            .iter()
            .map(|out| without(&self.smallest, out))
            .collect()
    }

    /// Takes for each candidate whether it still differs.
    pub fn learn(&mut self, differs: &[bool]) {
        let outcomes = || self.tried.iter().zip(differs);
        if self.loose.is_empty() {
            let loose = outcomes().filter(|(_, differs)| **differs);
            self.loose = loose.filter_map(|(out, _)| out.first().copied()).collect();
            if self.loose.is_empty() {
                // Chunks of one step were the last; 0 ends it.
                self.chunk = if self.chunk == 1 {
                    0
                } else {
                    self.chunk.div_ceil(2)
                };
            }
            return;
        }
        // The last, a single chunk, was seen to differ before.
        let best = outcomes()
            .find(|(_, differs)| **differs)
            .or(outcomes().next_back());
        if let Some((out, _)) = best {
            self.smallest = without(&self.smallest, out);
        }
        self.loose.clear();
        self.chunk = self.chunk.min(self.smallest.steps.len());
    }
}

impl Shrinking {
    /// True when nothing more can be left out.
    pub fn is_done(&self) -> bool {
        self.chunk == 0
    }
}

fn without(scenario: &Scenario, out: &[usize]) -> Scenario {
    let mut scenario = scenario.clone();
    let mut place = 0;
    scenario.steps.retain(|_| {
        place += 1;
        !out.contains(&(place - 1))
    });
    scenario
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Step;

    /// Shrinks a scenario of `length` steps whose difference needs exactly these.
    fn shrink(length: usize, needed: &[usize]) -> (Vec<String>, usize) {
        let step = |number: usize| Step::Ipvsadm(number.to_string());
        let scenario = Scenario {
            number: 0,
            marks: Vec::new(),
            netfilter: None,
            settings: Vec::new(),
            steps: (0..length).map(step).collect(),
        };
        let last = *needed.last().expect("a step");
        let mut shrinking = Shrinking::new(&scenario, last);
        let mut rounds = 0;
        while !shrinking.is_done() {
            let candidates = shrinking.candidates();
            let differs: Vec<bool> = candidates
                .iter()
                .map(|it| {
                    needed
                        .iter()
                        .all(|number| it.steps.contains(&step(*number)))
                })
                .collect();
            shrinking.learn(&differs);
            rounds += 1;
            assert!(rounds < 100, "it comes to an end");
        }
        let steps = shrinking.smallest().steps.iter();
        let words = steps.map(|step| match step {
            Step::Ipvsadm(words) => words.clone(),
            other => panic!("{other:?} was not in it"),
        });
        (words.collect(), rounds)
    }

    #[test]
    fn only_what_is_needed_stays() {
        for needed in [&[0][..], &[59], &[3, 17, 40], &[10, 11, 12], &[0, 59]] {
            let (left, rounds) = shrink(60, needed);
            let expected: Vec<String> = needed.iter().map(ToString::to_string).collect();
            assert_eq!(left, expected);
            assert!(rounds <= 16, "{needed:?} took {rounds} rounds");
        }
    }
}
