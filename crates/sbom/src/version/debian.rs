//! `[epoch:]upstream[-revision]`: deb-version(7).

use std::cmp::Ordering;

#[derive(Clone, Debug)]
pub(super) struct Version {
    epoch: u32,
    upstream: String,
    revision: String,
}

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().ok()?, rest),
            None => (0, text),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".+-~:_".contains(c);
        if upstream.is_empty() || !rest.chars().all(is_plain) {
            return None;
        }
        Some(Self { epoch, upstream: upstream.to_owned(), revision: revision.to_owned() })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare(&self.upstream, &other.upstream))
            .then_with(|| compare(&self.revision, &other.revision))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// By turns what is no digit, and numbers.
fn compare(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    while !one.is_empty() || !other.is_empty() {
        let [(words, rest), (other_words, other_rest)] =
            [one, other].map(|text| cut(text, |c| c.is_ascii_digit()));
        let [(number, rest), (other_number, other_rest)] =
            [rest, other_rest].map(|text| cut(text, |c| !c.is_ascii_digit()));
        let order = words_in_order(words, other_words).then_with(|| numbers(number, other_number));
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
    Ordering::Equal
}

fn cut(text: &str, at: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}

/// `~` is before the end, the end before letters, and letters before all else.
fn words_in_order(one: &str, other: &str) -> Ordering {
    let weight = |text: &str, at: usize| match text.as_bytes().get(at) {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    };
    let end = one.len().max(other.len());
    let orders = (0..end).map(|at| weight(one, at).cmp(&weight(other, at)));
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Of any length.
pub(super) fn numbers(one: &str, other: &str) -> Ordering {
    let [one, other] = [one, other].map(|number| number.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}
