//! Gitea's configuration: a forge for one machine that nobody else reaches, that calls nobody but its webhooks, and
//! that has no mail, no packages and no actions of its own. Pictures of people come from nowhere by default.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest as _, Sha256};

/// What differs from one forge to the other.
#[derive(Clone)]
pub struct Settings {
    /// What it calls itself: `https://git.dev.konflux.test/`.
    pub url: String,
    pub listen: SocketAddr,
    /// PEM files.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Everything that it keeps.
    pub data: PathBuf,
    /// Templates and such, beside the binary: [`crate::tools::GoProgram::assets`].
    pub assets: PathBuf,
    /// Where webhooks may be delivered to: networks (`10.96.0.0/16`) and words of Gitea (`loopback`), by comma.
    pub webhooks_to: String,
    /// Whether root may run it. Somebody else should, where there is somebody else.
    pub allows_root: bool,
    /// Unguessable. The forge's own keys are made of it, so that they stay while it does.
    pub seed: String,
}

/// Sections, each with its keys; those without a name come first.
type Section<'a> = (&'a str, Vec<(&'a str, String)>);

impl Settings {
    /// The text of an `app.ini`.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (section, keys) in self.sections() {
            if !section.is_empty() {
                let _ = writeln!(text, "\n[{section}]");
            }
            for (key, value) in keys {
                // In backticks nothing begins a comment.
                let _ = writeln!(text, "{key} = `{value}`");
            }
        }
        text
    }

    fn sections(&self) -> Vec<Section<'static>> {
        let off = || "false".to_owned();
        let on = || "true".to_owned();
        let path = |path: &std::path::Path| path.display().to_string();
        vec![
            (
                "",
                vec![
                    ("I_AM_BEING_UNSAFE_RUNNING_AS_ROOT", self.allows_root.to_string()),
                    ("WORK_PATH", path(&self.data)),
                ],
            ),
            (
                "server",
                vec![
                    ("PROTOCOL", "https".to_owned()),
                    ("HTTP_ADDR", self.listen.ip().to_string()),
                    ("HTTP_PORT", self.listen.port().to_string()),
                    ("ROOT_URL", self.url.clone()),
                    // Whatever name a request came by: services compare addresses of repositories.
                    ("PUBLIC_URL_DETECTION", "never".to_owned()),
                    ("CERT_FILE", path(&self.certificate)),
                    ("KEY_FILE", path(&self.key)),
                    ("STATIC_ROOT_PATH", path(&self.assets)),
                    ("APP_DATA_PATH", path(&self.data)),
                    ("DISABLE_SSH", on()),
                    ("SSH_ROOT_PATH", path(&self.data.join("ssh"))),
                    ("SSH_CREATE_AUTHORIZED_KEYS_FILE", off()),
                    ("LFS_START_SERVER", off()),
                    ("OFFLINE_MODE", on()),
                    ("ALLOW_GRACEFUL_RESTARTS", off()),
                    ("GRACEFUL_HAMMER_TIME", "5s".to_owned()),
                ],
            ),
            (
                "database",
                vec![
                    ("DB_TYPE", "sqlite3".to_owned()),
                    ("PATH", path(&self.data.join("gitea.db"))),
                    // Readers do not wait for a writer.
                    ("SQLITE_JOURNAL_MODE", "WAL".to_owned()),
                    ("SQLITE_TIMEOUT", "10000".to_owned()),
                ],
            ),
            (
                "security",
                vec![
                    ("INSTALL_LOCK", on()),
                    ("SECRET_KEY", HEXLOWER.encode(&self.derive("secret key"))),
                    ("INTERNAL_TOKEN", HEXLOWER.encode(&self.derive("internal token"))),
                    ("DISABLE_QUERY_AUTH_TOKEN", on()),
                ],
            ),
            // The secret is used for more than OAuth.
            (
                "oauth2",
                vec![("ENABLED", off()), ("JWT_SECRET", BASE64URL_NOPAD.encode(&self.derive("tokens")))],
            ),
            (
                "service",
                vec![
                    ("DISABLE_REGISTRATION", on()),
                    ("ENABLE_NOTIFY_MAIL", off()),
                    ("DEFAULT_KEEP_EMAIL_PRIVATE", on()),
                ],
            ),
            ("openid", vec![("ENABLE_OPENID_SIGNIN", off()), ("ENABLE_OPENID_SIGNUP", off())]),
            (
                "repository",
                vec![
                    ("ROOT", path(&self.data.join("repositories"))),
                    ("DEFAULT_BRANCH", super::repositories::MAIN.to_owned()),
                    ("DISABLE_MIGRATIONS", on()),
                ],
            ),
            ("webhook", vec![("ALLOWED_HOST_LIST", self.webhooks_to.clone()), ("SKIP_TLS_VERIFY", off())]),
            ("cron.update_checker", vec![("ENABLED", off())]),
            ("mirror", vec![("ENABLED", off())]),
            ("mailer", vec![("ENABLED", off())]),
            ("actions", vec![("ENABLED", off())]),
            ("packages", vec![("ENABLED", off())]),
            // Searches in the database: no index to keep.
            ("indexer", vec![("ISSUE_INDEXER_TYPE", "db".to_owned()), ("REPO_INDEXER_ENABLED", off())]),
            ("log", vec![("MODE", "console".to_owned()), ("LEVEL", "Warn".to_owned())]),
        ]
    }

    fn derive(&self, purpose: &str) -> [u8; 32] {
        Sha256::digest(format!("{purpose}\0{}", self.seed)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(seed: &str) -> Settings {
        Settings {
            url: "https://git.test/".to_owned(),
            listen: "127.0.0.1:3000".parse().unwrap(),
            certificate: "/x/tls.crt".into(),
            key: "/x/tls.key".into(),
            data: "/x/data".into(),
            assets: "/x/assets".into(),
            webhooks_to: "10.96.0.0/16,loopback".to_owned(),
            allows_root: false,
            seed: seed.to_owned(),
        }
    }

    fn value<'a>(text: &'a str, key: &str) -> &'a str {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key} = `")));
        line.and_then(|value| value.strip_suffix('`')).unwrap_or_else(|| panic!("no {key} in {text}"))
    }

    #[test]
    fn keys_stay_with_their_seed_and_differ_from_each_other() {
        let (one, same, other) = (settings("a").render(), settings("a").render(), settings("b").render());
        assert_eq!(one, same);
        for key in ["SECRET_KEY", "INTERNAL_TOKEN", "JWT_SECRET"] {
            assert_ne!(value(&one, key), value(&other, key));
        }
        assert_ne!(value(&one, "SECRET_KEY"), value(&one, "INTERNAL_TOKEN"));
        // 32 bytes, or Gitea writes another into its configuration.
        assert_eq!(BASE64URL_NOPAD.decode(value(&one, "JWT_SECRET").as_bytes()).unwrap().len(), 32);
    }

    #[test]
    fn calls_nobody_and_lets_nobody_in() {
        let text = settings("a").render();
        for (key, expected) in [
            ("HTTP_ADDR", "127.0.0.1"),
            ("DISABLE_REGISTRATION", "true"),
            ("DISABLE_MIGRATIONS", "true"),
            ("SKIP_TLS_VERIFY", "false"),
            ("ALLOWED_HOST_LIST", "10.96.0.0/16,loopback"),
        ] {
            assert_eq!(value(&text, key), expected, "{key}");
        }
        assert!(text.contains("[cron.update_checker]\nENABLED = `false`"), "{text}");
    }
}
