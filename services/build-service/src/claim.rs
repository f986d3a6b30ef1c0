//! The id under which a request is dealt with.
//!
//! Written to the Component before anything outside is done, and removed together with the request: whoever goes on after a
//! crash finds what was made under the same id, instead of making it again.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use fleet::names;
use jiff::Timestamp;

/// `<unix seconds>-<16 hexadecimal digits>`: when the request was first seen, and chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    since: Timestamp,
    id: String,
}

/// What is no claim of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected <unix seconds>-<hexadecimal digits>")]
pub(crate) struct NoClaim;

impl Claim {
    pub(crate) fn new(now: Timestamp) -> Self {
        let id = HEXLOWER.encode(&rand::random::<[u8; 8]>());
        Self { since: now, id }
    }

    /// When the request was first seen.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// What ends the name of an object that answers the request; the longer form where that name is taken.
    pub(crate) fn suffix(&self, uid: &str, length: usize) -> String {
        format!("-{}", names::hash(length, &[uid, &self.to_string()]))
    }

    /// Tag of the image that is built without Pipelines-as-Code.
    pub(crate) fn tag(&self) -> String {
        format!("build-{}-{}", self.id.get(..5).unwrap_or(&self.id), self.since.as_second())
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.since.as_second(), self.id)
    }
}

impl FromStr for Claim {
    type Err = NoClaim;

    fn from_str(text: &str) -> Result<Self, NoClaim> {
        let (seconds, id) = text.split_once('-').ok_or(NoClaim)?;
        let since = seconds.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        let is_id = (5..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let since = since.filter(|since| is_id && since.as_second() >= 0).ok_or(NoClaim)?;
        Ok(Self { since, id: id.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn survives_being_written() {
        let claim = Claim::new("2024-04-29T10:00:00Z".parse().unwrap());
        assert_eq!(claim.to_string().parse(), Ok(claim.clone()));
        assert_ne!(claim, Claim::new(claim.since()));
    }

    #[test]
    fn names_what_is_made_under_it() {
        let claim: Claim = "1714384800-0123456789abcdef".parse().unwrap();
        assert_eq!(claim.tag(), "build-01234-1714384800");
        assert_eq!(claim.suffix("uid", 5).len(), 6);
        assert_ne!(claim.suffix("uid", 5), claim.suffix("other", 5));
    }

    #[rstest]
    #[case("")]
    #[case("1714384800")]
    #[case("x-0123456789abcdef")]
    #[case("1714384800-xyz12")]
    #[case("1714384800-0123")]
    #[case("-5-0123456789abcdef")]
    #[case("99999999999999999-0123456789abcdef")]
    fn others_are_none(#[case] text: &str) {
        assert_eq!(text.parse::<Claim>(), Err(NoClaim));
    }
}
