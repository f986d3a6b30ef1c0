//! Reasons of the Events that image-controller publishes.

/// Reason of an Event on an ImageRepository. Ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum EventReason {
    /// Repository, accounts and Secrets are there.
    ImageRepositoryProvisioned,
    /// They cannot be made. A warning.
    ImageRepositoryFailed,
    /// The object goes, but something of it is left in the registry. A warning.
    ImageRepositoryCleanupIncomplete,
    /// The tokens are new ones; the old ones are dead.
    CredentialsRotated,
}
