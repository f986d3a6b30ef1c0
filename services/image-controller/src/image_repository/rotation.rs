//! Which tokens are being replaced.
//!
//! Before anything is replaced, a hash of each token as it was is written down. A pass that finds another one at the registry
//! knows that it has been replaced already, however the pass before ended.

use data_encoding::HEXLOWER;
use fleet::Secret;
use sha2::{Digest as _, Sha256};

/// An account with a token of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Account {
    Push,
    Pull,
    /// The one that pulls all repositories of the namespace.
    Namespace,
}

/// In the place of the hash: the new token has been delivered.
const DONE: &str = "done";

/// The value of the annotation: `push=<hash of the token before>,pull=…`, and `push=done` when it is delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded(Vec<(Account, String)>);

impl Recorded {
    /// What cannot be read counts as not noted.
    pub(crate) fn parse(text: &str) -> Self {
        let entry = |entry: &str| {
            let (account, hash) = entry.split_once('=')?;
            Some((account.parse().ok()?, hash.to_owned()))
        };
        Self(text.split(',').filter_map(entry).collect())
    }

    pub(crate) fn push(&mut self, account: Account, token: &Secret<String>) {
        self.0.push((account, hash(token)));
    }

    pub(crate) fn has(&self, wanted: Account) -> bool {
        self.accounts().any(|account| account == wanted)
    }

    fn accounts(&self) -> impl Iterator<Item = Account> {
        self.0.iter().map(|(account, _)| *account)
    }

    /// The first that has not been delivered.
    pub(crate) fn next(&self) -> Option<Account> {
        self.0.iter().find(|(_, hash)| hash != DONE).map(|(account, _)| *account)
    }

    /// The same, with this one delivered.
    pub(crate) fn delivered(&self, done: Account) -> Self {
        let mut all = self.0.clone();
        for (_, hash) in all.iter_mut().filter(|(account, _)| *account == done) {
            DONE.clone_into(hash);
        }
        Self(all)
    }

    /// Whether this is the token from before.
    pub(crate) fn is_old(&self, wanted: Account, token: &Secret<String>) -> bool {
        let hash = hash(token);
        self.0.iter().any(|(account, old)| *account == wanted && *old == hash)
    }
}

impl std::fmt::Display for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (account, hash)) in self.0.iter().enumerate() {
            let account: &str = account.into();
            write!(f, "{}{account}={hash}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Tells tokens apart, and gives nothing away: tokens are long and random.
fn hash(token: &Secret<String>) -> String {
    HEXLOWER.encode(&Sha256::digest(token.expose())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        let token = |text: &str| Secret::new(text.to_owned());
        let mut recorded = Recorded::default();
        recorded.push(Account::Push, &token("a"));
        recorded.push(Account::Namespace, &token("b"));
        let read = Recorded::parse(&recorded.to_string());
        assert_eq!(read, recorded);
        assert!(read.is_old(Account::Push, &token("a")) && !read.is_old(Account::Push, &token("b")));
        assert!(!read.has(Account::Pull) && !read.is_old(Account::Pull, &token("a")));
        assert_eq!(Recorded::parse("x,push"), Recorded::default());

        assert_eq!(read.next(), Some(Account::Push));
        let read = Recorded::parse(&read.delivered(Account::Push).to_string());
        assert_eq!(read.next(), Some(Account::Namespace));
        assert!(read.has(Account::Push) && !read.is_old(Account::Push, &token("a")));
        assert_eq!(read.delivered(Account::Namespace).next(), None);
    }
}
