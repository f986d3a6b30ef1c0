//! How often each thing was asked for.
use std::collections::BTreeMap;

use testkit::ledger;

use super::units::count;

/// How often each was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally(BTreeMap<String, f64>);

impl Tally {
    pub(super) fn of(names: impl Iterator<Item = String>) -> Self {
        let mut tally = Self::default();
        for name in names {
            *tally.0.entry(name).or_default() += 1.0;
        }
        tally
    }

    /// Of requests that were to change what is stored: `create pipelineruns`
    pub(super) fn of_writes(calls: &ledger::Calls) -> Self {
        Self::of(calls.iter().filter(|call| call.is_write()).map(shown))
    }

    /// Of requests that read objects.
    pub(super) fn of_reads(calls: &ledger::Calls) -> Self {
        Self::of(calls.iter().filter(|call| call.is_read()).map(shown))
    }

    /// What each of so many things took.
    pub(super) fn per(mut self, number: usize) -> Self {
        for count_of_one in self.0.values_mut() {
            *count_of_one /= count(number).max(1.0);
        }
        self
    }

    /// What is more than in another.
    pub(super) fn beyond(mut self, other: &Self) -> Self {
        for (name, less) in &other.0 {
            *self.0.entry(name.clone()).or_default() -= less;
        }
        self
    }
}

fn shown(call: &ledger::Call) -> String {
    let resource = call.target.as_ref().map_or_else(String::new, ledger::Target::rbac_resource);
    format!("{} {resource}", call.verb)
}

impl std::fmt::Display for Tally {
    /// `2.0: create pipelineruns 1.0, create secrets 1.0`, without what is hardly there.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1}", self.0.values().sum::<f64>().abs())?;
        let parts: Vec<_> = self
            .0
            .iter()
            .filter(|(_, number)| number.abs() >= 0.05)
            .map(|(name, number)| format!("{name} {number:.1}"))
            .collect();
        if parts.is_empty() { Ok(()) } else { write!(f, ": {}", parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_each_took() {
        let names = ["a", "b", "a", "a"].map(str::to_owned);
        let tally = Tally::of(names.into_iter());
        assert_eq!(tally.clone().per(2).to_string(), "2.0: a 1.5, b 0.5");
        let other = Tally::of(["b".to_owned()].into_iter());
        assert_eq!(tally.beyond(&other).per(3).to_string(), "1.0: a 1.0");
        assert_eq!(Tally::default().to_string(), "0.0");
    }
}
