//! Keys that are trusted, each for a time: so that a key can be replaced and what it signed before stays good.
//!
//! ```text
//!   old key   ├──────────────────────┤ notAfter
//!   new key          notBefore ├──────────────────────▶
//! ```
//! A window is worth as much as what tells when a signature was made. A transparency log tells it against the signer's will.
//! Without one there is only what the signed statement says itself: who has stolen an old key can write any date. A window then
//! keeps an honest builder from using a key too long, and no more; a stolen key has to be taken out of the set.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

use crate::key::{KeyError, PublicKey};

/// Larger is no set of keys.
const MAX_TEXT: usize = 256 * 1024;
const MAX_KEYS: usize = 64;

/// Trusted keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet(Vec<TrustedKey>);

/// A key, and when it was in use. Both ends belong to that time; none means without end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    pub key: PublicKey,
    pub not_before: Option<Timestamp>,
    pub not_after: Option<Timestamp>,
}

/// When a signature was made, as far as anybody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    At(Timestamp),
    /// At some time before.
    By(Timestamp),
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => write!(f, "{at}"),
            Self::By(at) => write!(f, "by {at}"),
        }
    }
}

/// Why something is no set of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeySet {
    #[error(
        "it holds no key: expected are PUBLIC KEY blocks in PEM, or {{\"keys\": [{{\"key\": PEM, \"notBefore\", \"notAfter\"}}]}}"
    )]
    Empty,
    #[error("it holds more than {MAX_KEYS} keys, or {MAX_TEXT} bytes")]
    TooLarge,
    #[error("it is no document of keys: {0}")]
    Unreadable(String),
    #[error("key {number}: {reason}")]
    Key { number: usize, reason: KeyError },
    #[error("key {number}: notAfter is not after notBefore")]
    Window { number: usize },
    #[error(transparent)]
    Pem(#[from] KeyError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    /// PEM.
    key: String,
    #[serde(default)]
    not_before: Option<Timestamp>,
    #[serde(default)]
    not_after: Option<Timestamp>,
}

impl KeySet {
    /// Reads `cosign.pub` with one or more PEM blocks, all good for ever, or the document `keys.json`.
    pub fn parse(text: &str) -> Result<Self, BadKeySet> {
        if text.len() > MAX_TEXT {
            return Err(BadKeySet::TooLarge);
        }
        let keys = if text.trim_start().starts_with('{') {
            let document: Document =
                serde_json::from_str(text).map_err(|error| BadKeySet::Unreadable(error.to_string()))?;
            let keys = document.keys.into_iter().zip(1..);
            keys.map(|(entry, number)| entry.read(number)).collect::<Result<_, _>>()?
        } else {
            let keys = PublicKey::all_from_pem(text)?;
            keys.into_iter().map(TrustedKey::from).collect::<Vec<_>>()
        };
        match keys.len() {
            0 => Err(BadKeySet::Empty),
            1..=MAX_KEYS => Ok(Self(keys)),
            _ => Err(BadKeySet::TooLarge),
        }
    }

    pub fn keys(&self) -> &[TrustedKey] {
        &self.0
    }

    /// The keys that made this signature: one, unless a key is in the set with several windows.
    pub(crate) fn makers<'a>(
        &'a self,
        message: &'a [u8],
        signature: &'a [u8],
    ) -> impl Iterator<Item = &'a TrustedKey> {
        self.0.iter().filter(move |trusted| trusted.key.verify(message, signature).is_ok())
    }
}

impl From<PublicKey> for TrustedKey {
    fn from(key: PublicKey) -> Self {
        Self { key, not_before: None, not_after: None }
    }
}

impl From<PublicKey> for KeySet {
    fn from(key: PublicKey) -> Self {
        Self(vec![key.into()])
    }
}

impl TrustedKey {
    pub(crate) fn permits(&self, made: Made) -> bool {
        match made {
            Made::At(at) => {
                self.not_before.is_none_or(|begin| begin <= at) && self.not_after.is_none_or(|end| at <= end)
            }
            Made::By(at) => self.not_before.is_none_or(|begin| begin <= at),
        }
    }
}

impl Entry {
    fn read(self, number: usize) -> Result<TrustedKey, BadKeySet> {
        let key = PublicKey::from_pem(&self.key).map_err(|reason| BadKeySet::Key { number, reason })?;
        if let (Some(begin), Some(end)) = (self.not_before, self.not_after)
            && end <= begin
        {
            return Err(BadKeySet::Window { number });
        }
        Ok(TrustedKey { key, not_before: self.not_before, not_after: self.not_after })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::key::PrivateKey;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn key() -> PrivateKey {
        PrivateKey::generate().unwrap()
    }

    #[test]
    fn takes_keys_in_pem_for_ever() {
        let (old, new) = (key(), key());
        let set = KeySet::parse(&format!("{}\n{}", old.public().to_pem(), new.public().to_pem())).unwrap();
        for key in [&old, &new] {
            let signature = key.sign(b"message").unwrap();
            let maker = set.makers(b"message", &signature).next().unwrap();
            assert_eq!(&maker.key, key.public());
            assert!(maker.permits(Made::At(Timestamp::MIN)) && maker.permits(Made::At(Timestamp::MAX)));
        }
        assert_eq!(set.makers(b"message", &key().sign(b"message").unwrap()).count(), 0);
    }

    #[rstest]
    #[case::before("2025-12-31T23:59:59Z", false)]
    #[case::begin("2026-01-01T00:00:00Z", true)]
    #[case::end("2026-06-30T00:00:00Z", true)]
    #[case::after("2026-06-30T00:00:01Z", false)]
    fn a_key_is_good_in_its_window(#[case] made: &str, #[case] expected: bool) {
        let document = json!({"keys": [{
            "key": key().public().to_pem(), "notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-06-30T00:00:00Z",
        }]});
        let set = KeySet::parse(&document.to_string()).unwrap();
        assert_eq!(set.keys()[0].permits(Made::At(at(made))), expected);
    }

    #[rstest]
    #[case::not_begun("2025-12-31T23:59:59Z", false)]
    #[case::in_use("2026-03-01T00:00:00Z", true)]
    #[case::replaced_since("2027-01-01T00:00:00Z", true)]
    fn what_has_no_date_may_be_of_any_time_before(#[case] now: &str, #[case] expected: bool) {
        let document = json!({"keys": [{
            "key": key().public().to_pem(), "notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-06-30T00:00:00Z",
        }]});
        let set = KeySet::parse(&document.to_string()).unwrap();
        assert_eq!(set.keys()[0].permits(Made::By(at(now))), expected);
    }

    #[rstest]
    #[case::nothing(String::new(), "no key")]
    #[case::empty(json!({"keys": []}).to_string(), "no key")]
    #[case::other_member(json!({"keys": [], "keyz": []}).to_string(), "keyz")]
    #[case::misspelt_window(json!({"keys": [{"key": "", "notbefore": "2026-01-01T00:00:00Z"}]}).to_string(), "notbefore")]
    #[case::bad_date(json!({"keys": [{"key": "", "notBefore": "soon"}]}).to_string(), "no document of keys")]
    #[case::bad_key(json!({"keys": [{"key": "x"}]}).to_string(), "key 1")]
    #[case::no_time(
        json!({"keys": [{"key": key().public().to_pem(), "notBefore": "2026-01-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z"}]}).to_string(),
        "notAfter is not after notBefore"
    )]
    #[case::private(key().to_encrypted("x").unwrap(), "secret half")]
    #[case::one_is_none(format!("{}-----BEGIN X-----\nAAAA\n-----END X-----\n", key().public().to_pem()), "\"X\"")]
    fn refuses(#[case] text: String, #[case] words: &str) {
        let error = KeySet::parse(&text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
