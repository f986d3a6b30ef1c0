//! Things with digests, as statements name them.

use std::collections::{BTreeMap, HashMap};

/// Algorithm to lower-case hexadecimal digest.
pub(super) type DigestSet = BTreeMap<String, String>;

/// Algorithms that statements may name, with the length of their digests in hexadecimal digits.
const ALGORITHMS: [(&str, usize); 4] = [("sha1", 40), ("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// Something by name and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Artifact {
    /// A repository of images, or a URI.
    pub(super) name: String,
    pub(super) digest: DigestSet,
}

impl Artifact {
    /// Name, algorithm, digest: two things that share one of them are the same.
    fn keys(&self) -> Vec<(String, String, String)> {
        let digests = self.digest.iter();
        digests.map(|(algorithm, hex)| (self.name.clone(), algorithm.clone(), hex.clone())).collect()
    }

    /// Takes digests by further algorithms from what is the same. Those that are known stay.
    pub(super) fn absorb(&mut self, same: Self) {
        for (algorithm, hex) in same.digest {
            self.digest.entry(algorithm).or_insert(hex);
        }
    }
}

/// Each thing once, in the order of first appearance.
pub(super) fn merge(artifacts: impl IntoIterator<Item = Artifact>) -> Vec<Artifact> {
    merge_by(artifacts, |artifact| artifact, Artifact::absorb)
}

/// The same for what contains an [`Artifact`]: `absorb` puts the second of two that are the same into the first.
///
/// Takes one look per item: a task of a stranger may list many thousands.
pub(super) fn merge_by<T>(
    items: impl IntoIterator<Item = T>,
    artifact: impl Fn(&T) -> &Artifact,
    absorb: impl Fn(&mut T, T),
) -> Vec<T> {
    let mut places = HashMap::new();
    let mut merged: Vec<T> = Vec::new();
    for item in items {
        let keys = artifact(&item).keys();
        let place = keys.iter().find_map(|key| places.get(key)).copied().unwrap_or(merged.len());
        match merged.get_mut(place) {
            Some(known) => absorb(known, item),
            None => merged.push(item),
        }
        for key in keys {
            places.entry(key).or_insert(place);
        }
    }
    merged
}

/// Reads `<algorithm>:<hexadecimal digits>`. `None` for other algorithms, lengths and letters.
///
/// Those of the SHA-2 family may have capital letters, which are made small. Commits are written in one way only.
pub(super) fn digest_set(text: &str) -> Option<DigestSet> {
    let (algorithm, hex) = text.split_once(':')?;
    let (_, length) = ALGORITHMS.iter().find(|(name, _)| *name == algorithm)?;
    let is_hex = hex.len() == *length && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_right_case = algorithm != "sha1" || !hex.bytes().any(|byte| byte.is_ascii_uppercase());
    (is_hex && has_right_case).then(|| DigestSet::from([(algorithm.to_owned(), hex.to_ascii_lowercase())]))
}
