//! How the database is reached.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use fleet::Secret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::error::Error;

/// Whom the connection trusts, with the words of libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum Tls {
    /// Plain text: password and archive can be read on the way.
    Disable,
    /// Encrypted, with a certificate of the given authority.
    Require,
    /// The same; the word of libpq.
    VerifyCa,
    /// Moreover the certificate is for the host that was asked for.
    #[default]
    VerifyFull,
}

/// Settings of section 7 that begin with `DB_`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Host name, address, or the folder of a Unix socket if it begins with `/`.
    pub host: String,
    pub port: u16,
    /// Name of the database.
    pub name: String,
    pub user: String,
    pub password: Secret<String>,
    pub tls: Tls,
    /// Authorities (PEM) of the server's certificate; needed by every mode but `disable`.
    pub root_cert: Option<PathBuf>,
    pub max_connections: u32,
    /// So many connections are kept open while nobody needs them.
    pub idle_connections: u32,
    /// Whether tables and indexes are made and brought up to date when connecting.
    pub auto_migrate: bool,
    /// A statement that takes longer is stopped.
    pub statement_timeout: Duration,
    /// How long to go on trying to connect, every ten seconds.
    pub connect_for: Duration,
}

impl Options {
    /// The defaults of section 7, over what has none.
    pub fn new(host: &str, port: u16, name: &str, user: &str, password: &str) -> Self {
        Self {
            host: host.to_owned(),
            port,
            name: name.to_owned(),
            user: user.to_owned(),
            password: Secret::new(password.to_owned()),
            tls: Tls::default(),
            root_cert: None,
            max_connections: 10,
            idle_connections: 10,
            auto_migrate: true,
            statement_timeout: Duration::from_secs(30),
            connect_for: Duration::from_mins(2),
        }
    }

    /// Fails on settings that contradict each other, naming the variables.
    pub(super) fn to_sqlx(&self) -> Result<PgConnectOptions, Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.name)
            .username(&self.user)
            .password(self.password.expose())
            .application_name("results")
            .options([
                ("statement_timeout", self.statement_timeout.as_millis().to_string()),
                // An idle transaction would hold its locks for ever.
                ("idle_in_transaction_session_timeout", "60000".to_owned()),
                // Groups of a summary are cut at UTC's midnight.
                ("timezone", "UTC".to_owned()),
            ]);
        let mode = match self.tls {
            Tls::Disable => {
                tracing::warn!("The database connection is not encrypted (DB_SSLMODE=disable)");
                return Ok(options.ssl_mode(PgSslMode::Disable));
            }
            // libpq too verifies the authority as soon as it is given one.
            Tls::Require | Tls::VerifyCa => PgSslMode::VerifyCa,
            Tls::VerifyFull => PgSslMode::VerifyFull,
        };
        let Some(root) = &self.root_cert else {
            return Err(Error::Setup(format!(
                "DB_SSLMODE={} needs DB_SSLROOTCERT, a file with the authority of the database's certificate; \
                 DB_SSLMODE=disable turns encryption off",
                self.tls
            )));
        };
        if let Err(error) = std::fs::metadata(root) {
            return Err(Error::Setup(format!("DB_SSLROOTCERT: {}: {error}", root.display())));
        }
        Ok(options.ssl_mode(mode).ssl_root_cert(root))
    }
}

impl Tls {
    /// The words that a flag takes.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_str(text)
            .map_err(|_| format!("`{text}` is none of disable, require, verify-ca, verify-full"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::require("require")]
    #[case::authority("verify-ca")]
    #[case::host("verify-full")]
    fn encryption_needs_an_authority(#[case] mode: &str) {
        let options = Options { tls: Tls::parse(mode).unwrap(), ..Options::new("db", 5432, "a", "b", "c") };
        let error = options.to_sqlx().unwrap_err().to_string();
        assert!(error.contains(&format!("DB_SSLMODE={mode} needs DB_SSLROOTCERT")), "{error}");
        let missing = Options { root_cert: Some("/nowhere/ca.crt".into()), ..options };
        assert!(missing.to_sqlx().unwrap_err().to_string().starts_with("DB_SSLROOTCERT: /nowhere/ca.crt"));
    }

    #[test]
    fn plain_text_is_said_aloud() {
        let options = Options { tls: Tls::Disable, ..Options::new("db", 5432, "a", "b", "c") };
        assert!(options.to_sqlx().is_ok());
        assert!(Tls::parse("prefer").unwrap_err().contains("verify-full"));
    }

    #[test]
    fn the_password_is_not_printed() {
        assert!(!format!("{:?}", Options::new("db", 5432, "a", "b", "hunter2")).contains("hunter2"));
    }
}
