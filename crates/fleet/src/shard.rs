//! A share of the namespaces, for replicas that divide the work between them.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::key::ObjectKey;

/// Which keys a replica works on: those whose namespace falls to shard `index` of `count`, written `0/3`.
///
/// Namespaces are the unit, because what happens in one is decided together. A namespace belongs to the shard of the
/// highest weight (rendezvous hashing): with one shard more, only the share of the new one moves. The weights are part
/// of the contract between replicas and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u16,
    count: u16,
}

/// Not a shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected INDEX/COUNT with INDEX from 0 to COUNT − 1, as 0/3")]
pub struct InvalidShard;

impl Shard {
    /// All namespaces.
    pub const ALL: Self = Self { index: 0, count: 1 };

    pub fn new(index: u16, count: u16) -> Result<Self, InvalidShard> {
        if index < count { Ok(Self { index, count }) } else { Err(InvalidShard) }
    }

    /// Whether the key is this replica's to work on. Cluster-scoped objects count as of a namespace without name.
    pub fn owns(self, key: &ObjectKey) -> bool {
        self.count == 1 || self.owner_of(&key.namespace) == self.index
    }

    /// Whether this replica does what is done once in an installation, as issuing the webhook certificate.
    pub fn is_first(self) -> bool {
        self.index == 0
    }

    /// The Lease of the replicas of this shard. Unsharded it is named as the deployable (contracts.md, decision 26).
    pub fn lease(self, service: &str) -> String {
        if self.count == 1 {
            service.to_owned()
        } else {
            format!("{service}-{}-of-{}", self.index, self.count)
        }
    }

    fn owner_of(self, namespace: &str) -> u16 {
        (0..self.count).max_by_key(|index| weight(namespace, *index)).unwrap_or_default()
    }
}

/// The first eight bytes, big-endian, of the SHA-256 over `<namespace>/<index>`. A namespace has no slash in its name.
fn weight(namespace: &str, index: u16) -> u64 {
    let digest = Sha256::digest(format!("{namespace}/{index}"));
    digest.iter().take(8).fold(0, |weight, byte| weight << 8 | u64::from(*byte))
}

impl Default for Shard {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, InvalidShard> {
        let (index, count) = text.split_once('/').ok_or(InvalidShard)?;
        Self::new(index.parse().map_err(|_| InvalidShard)?, count.parse().map_err(|_| InvalidShard)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn key(namespace: &str) -> ObjectKey {
        ObjectKey::new(namespace, "any")
    }

    fn shards(count: u16) -> impl Iterator<Item = Shard> {
        (0..count).map(move |index| Shard::new(index, count).unwrap())
    }

    #[rstest]
    #[case::first("0/3", Ok(Shard { index: 0, count: 3 }))]
    #[case::all("0/1", Ok(Shard::ALL))]
    #[case::beyond_the_last("3/3", Err(InvalidShard))]
    #[case::of_none("0/0", Err(InvalidShard))]
    #[case::one_number("1", Err(InvalidShard))]
    #[case::negative("-1/3", Err(InvalidShard))]
    fn reads_a_flag(#[case] text: &str, #[case] expected: Result<Shard, InvalidShard>) {
        assert_eq!(text.parse(), expected);
    }

    /// A replica of an older version must divide as we do.
    #[test]
    fn the_division_never_changes() {
        let owners = ["team-a", "team-b", "team-c", "team-d", "team-e", "team-f", ""]
            .map(|namespace| Shard { index: 0, count: 3 }.owner_of(namespace));
        assert_eq!(owners, [2, 0, 1, 2, 2, 2, 2]);
    }

    #[test]
    fn shares_are_about_equal() {
        let owned = |shard: Shard| (0..3000).filter(|n| shard.owns(&key(&format!("team-{n}")))).count();
        let counts: Vec<_> = shards(3).map(owned).collect();
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_lease_of_the_whole_is_named_as_the_deployable() {
        assert_eq!(Shard::ALL.lease("shop"), "shop");
        assert_eq!(Shard::new(1, 3).unwrap().lease("shop"), "shop-1-of-3");
    }

    proptest! {
        #[test]
        fn each_namespace_has_one_owner(namespace in "[a-z0-9-]{0,63}", count in 1_u16..9) {
            prop_assert_eq!(shards(count).filter(|shard| shard.owns(&key(&namespace))).count(), 1);
        }

        /// Nothing moves between shards that stay.
        #[test]
        fn one_shard_more_takes_only_its_share(namespace in "[a-z0-9-]{1,63}", count in 1_u16..9) {
            let owner = |count| Shard { index: 0, count }.owner_of(&namespace);
            let (before, after) = (owner(count), owner(count + 1));
            prop_assert!(after == before || after == count, "{} -> {}", before, after);
        }
    }
}
