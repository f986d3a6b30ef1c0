//! How somebody shows a registry who they are.

use fleet::Secret;
use sha2::{Digest as _, Sha256};

/// A credential of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    Password {
        user: String,
        password: Secret<String>,
    },
    /// `identitytoken`: exchanged for a token at the registry's token service.
    Identity(Secret<String>),
    /// `registrytoken`: shown as it is.
    Token(Secret<String>),
}

impl Login {
    /// Tells logins apart without keeping them.
    pub fn id(&self) -> [u8; 32] {
        let (kind, user, secret) = match self {
            Self::Password { user, password } => ("password", user.as_str(), password),
            Self::Identity(token) => ("identity", "", token),
            Self::Token(token) => ("token", "", token),
        };
        let mut hash = Sha256::new();
        for part in [kind, user, secret.expose().as_str()] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}
