//! The checks that are made of every image, whatever the policy says (specification, section 4.2).

use super::verdict::{PASS, Verdict};
use crate::report::Finding;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Accessible,
    Signature,
    AttestationSignature,
    AttestationSyntax,
}

impl Check {
    fn code(self) -> &'static str {
        match self {
            Self::Accessible => "builtin.image.accessible",
            Self::Signature => "builtin.image.signature_check",
            Self::AttestationSignature => "builtin.attestation.signature_check",
            Self::AttestationSyntax => "builtin.attestation.syntax_check",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Accessible => "Image can be read",
            Self::Signature => "Image is signed by whom the policy trusts",
            Self::AttestationSignature => "Attestations are signed by whom the policy trusts",
            Self::AttestationSyntax => "Attestations are what their type says",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Accessible => {
                "The image, its configuration and the files that rules look into can be read."
            }
            Self::Signature => "A signature of the image matches the key, or the identity, of the policy.",
            Self::AttestationSignature => {
                "An attestation of the image matches the key, or the identity, of the policy."
            }
            Self::AttestationSyntax => {
                "Each attestation is well formed, and SLSA provenance meets its schema."
            }
        }
    }

    pub(super) fn finding(self, msg: impl Into<String>) -> Finding {
        let metadata = [("code", self.code()), ("title", self.title()), ("description", self.description())];
        let metadata = metadata.map(|(key, text)| (key.to_owned(), text.into())).into_iter().collect();
        Finding { msg: msg.into(), metadata, ..Finding::default() }
    }

    pub(super) fn pass(self, verdict: &mut Verdict) {
        verdict.successes.push(self.finding(PASS));
    }

    pub(super) fn fail(self, verdict: &mut Verdict, msg: impl Into<String>) {
        verdict.violations.push(self.finding(msg));
    }
}

/// What a missing signature means, and what to do.
pub(super) fn unsigned(what: &str, is_by_key: bool, reason: &str) -> String {
    if is_by_key {
        format!(
            "No {what} is signed by the public key that is given. Is it the right key, and was the image signed at all? \
             {reason}"
        )
    } else {
        format!("No {what} is signed by the identity that is given. {reason}")
    }
}
