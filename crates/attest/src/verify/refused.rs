//! Why nothing was verified.

use std::fmt;

use registry::Attached;

/// Reasons that are shown.
const SHOWN: usize = 5;

/// No signature, or no attestation, of an image is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    kind: Attached,
    /// Of the layer that came furthest.
    cause: Cause,
    /// One for each layer.
    reasons: Vec<String>,
}

/// What was wrong, in the order in which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// There is nothing.
    Missing,
    /// It is no signature or attestation.
    Malformed,
    /// Nobody who is trusted signed it.
    Untrusted,
    /// The transparency log does not have it.
    NotLogged,
    /// The key was not in use when it signed.
    OutsideWindow,
    /// It is good, but about another image.
    OtherImage,
}

/// Of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    cause: Cause,
    reason: String,
}

impl Refusal {
    pub(super) fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self { cause, reason: reason.into() }
    }

    pub(super) fn cause(&self) -> Cause {
        self.cause
    }
}

impl Refused {
    pub(super) fn new(kind: Attached, refusals: Vec<Refusal>) -> Self {
        let cause = refusals.iter().map(|refusal| refusal.cause).max().unwrap_or(Cause::Missing);
        Self { kind, cause, reasons: refusals.into_iter().map(|refusal| refusal.reason).collect() }
    }

    pub fn cause(&self) -> Cause {
        self.cause
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.kind == Attached::Attestation { "attestation" } else { "signature" };
        if self.reasons.is_empty() {
            return write!(f, "the image has no {what}s");
        }
        write!(f, "none of the image's {} {what}s is good", self.reasons.len())?;
        for (number, reason) in self.reasons.iter().take(SHOWN).enumerate() {
            write!(f, "{} {}: {reason}", if number == 0 { ":" } else { ";" }, number + 1)?;
        }
        match self.reasons.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for Refused {}
