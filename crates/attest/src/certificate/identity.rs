//! Who a certificate has to be for.

use regex::{Regex, RegexBuilder};
use x509_parser::prelude::X509Certificate;

use super::names;

/// Of a compiled pattern, in bytes.
const MAX_PATTERN: usize = 1024 * 1024;

/// Subject and issuer that a certificate has to name: each by its text, by a pattern, or by both, and then both have to hold.
///
/// The subject is one of the certificate's alternative names: an e-mail address, a URI, a DNS name. The issuer is the OpenID
/// provider that knows the subject. A pattern may match anywhere in the text, as cosign's do: anchor it with `^` and `$`.
#[derive(Clone, Debug)]
pub struct Identity {
    subject: Matcher,
    issuer: Matcher,
}

#[derive(Clone, Debug)]
struct Matcher {
    literal: Option<String>,
    pattern: Option<Regex>,
}

/// Why something is no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    #[error("the identity names no {0}: give {0} or {0}RegExp, or a certificate of anybody would do")]
    Missing(&'static str),
    #[error("{what} {pattern:?} is no regular expression: {reason}")]
    Pattern { what: &'static str, pattern: String, reason: String },
}

impl Identity {
    /// Empty texts are not given.
    pub fn new(
        subject: &str,
        subject_pattern: &str,
        issuer: &str,
        issuer_pattern: &str,
    ) -> Result<Self, BadIdentity> {
        Ok(Self {
            subject: Matcher::new("subject", "subjectRegExp", subject, subject_pattern)?,
            issuer: Matcher::new("issuer", "issuerRegExp", issuer, issuer_pattern)?,
        })
    }

    pub(super) fn check(&self, certificate: &X509Certificate<'_>) -> Result<(), String> {
        let subjects = names::alternative_names(certificate);
        let issuer = names::issuer(certificate);
        let is_expected = subjects.iter().any(|name| self.subject.matches(name))
            && issuer.as_deref().is_some_and(|issuer| self.issuer.matches(issuer));
        if is_expected {
            return Ok(());
        }
        let issuer = issuer.unwrap_or_else(|| "nobody".to_owned());
        Err(format!(
            "the certificate is for {subjects:?} as known to {issuer:?}, which is not who is asked for"
        ))
    }
}

impl Matcher {
    fn new(
        what: &'static str,
        pattern_what: &'static str,
        literal: &str,
        pattern: &str,
    ) -> Result<Self, BadIdentity> {
        if literal.is_empty() && pattern.is_empty() {
            return Err(BadIdentity::Missing(what));
        }
        let compiled = |pattern: &str| {
            RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build().map_err(|error| BadIdentity::Pattern {
                what: pattern_what,
                pattern: pattern.to_owned(),
                reason: error.to_string(),
            })
        };
        Ok(Self {
            literal: Some(literal).filter(|text| !text.is_empty()).map(str::to_owned),
            pattern: Some(pattern).filter(|text| !text.is_empty()).map(compiled).transpose()?,
        })
    }

    fn matches(&self, text: &str) -> bool {
        self.literal.as_deref().is_none_or(|literal| literal == text)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
    }
}
