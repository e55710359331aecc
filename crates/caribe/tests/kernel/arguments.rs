//! Which scenarios to play, beside the usual arguments of a test.

use libtest_mimic::Trial;

/// What the command line asks for.
#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    /// Random scenarios to play.
    pub(crate) scenarios: u32,
    /// What they are made from.
    pub(crate) seed: u64,
    /// Of these only the one with this number.
    pub(crate) only: Option<u32>,
    /// What every test takes.
    pub(crate) usual: libtest_mimic::Arguments,
}

/// Numbers from here on are those of cases with names.
pub(crate) const MOST: u32 = 60_000;

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let (mut scenarios, mut seed, mut only) = (200, 1, None);
        let mut rest = Vec::new();
        let mut words = words;
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().ok_or(format!("{word} needs a number"))?;
                value
                    .parse()
                    .map_err(|_| format!("{word} needs a number, not `{value}`"))
            };
            match word.as_str() {
                "--scenarios" => scenarios = number()?,
                "--seed" => seed = number()?,
                "--only" => only = Some(number()?),
                _ => rest.push(word),
            }
        }
        let small = |what: &str, number: u64| match u32::try_from(number) {
            Ok(number) if number <= MOST => Ok(number),
            _ => Err(format!("{what} takes numbers up to {MOST}")),
        };
        Ok(Arguments {
            scenarios: small("--scenarios", scenarios)?,
            seed,
            only: only.map(|only| small("--only", only)).transpose()?,
            usual: libtest_mimic::Arguments::from_iter(rest),
        })
    }

    /// True if this test is to run. What only others look at need not be played.
    pub(crate) fn ask_for(&self, test: &str) -> bool {
        !self.usual.is_filtered_out(&Trial::test(test, || Ok(())))
    }

    /// Numbers of the random scenarios to play.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        match self.only {
            _ if !self.ask_for(&self.name()) => Vec::new(),
            Some(only) => vec![only],
            None => (0..self.scenarios).collect(),
        }
    }

    /// What the test of the random scenarios is called.
    pub(crate) fn name(&self) -> String {
        match self.only {
            Some(only) => format!("random_scenario_{only}_of_seed_{}", self.seed),
            None => format!("{}_random_scenarios_of_seed_{}", self.scenarios, self.seed),
        }
    }
}
