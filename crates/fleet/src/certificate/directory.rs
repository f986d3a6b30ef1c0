//! A certificate in files, as a mounted Secret shows it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{CertificateBundle, Certificates, Invalid};
use crate::Secret;

/// Contents are compared, not watched: the kubelet swaps a symbolic link two levels up, and some file systems
/// report nothing at all.
const EVERY: Duration = Duration::from_secs(10);
/// Until a first certificate is there, and while the files do not fit each other.
const SOON: Duration = Duration::from_secs(1);

/// Serves with `tls.crt` and `tls.key` of one directory (`--webhook-cert-dir`), and notices when they change.
/// Whoever writes the files has to see to `caBundle`, too.
pub struct Directory {
    certificate: PathBuf,
    key: PathBuf,
    every: Duration,
    published: watch::Sender<Option<Arc<CertificateBundle>>>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("read {path}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the serving certificate in {path} cannot be used", path = path.display())]
    Invalid { path: PathBuf, source: Invalid },
}

impl Directory {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::files(path.join("tls.crt"), path.join("tls.key"))
    }

    /// Two files, wherever they are.
    pub fn files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            every: EVERY,
            published: watch::channel(None).0,
        }
    }

    /// Time between two looks at the files, 10 s if not set.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    pub fn certificates(&self) -> Certificates {
        self.published.subscribe()
    }

    /// Runs until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let mut complaint = String::new();
        loop {
            let read = self.read().await;
            let wait = if read.is_ok() { self.every } else { self.every.min(SOON) };
            match read {
                Ok(bundle) => {
                    complaint.clear();
                    self.publish(bundle);
                }
                Err(error) => {
                    // Once per trouble, not once per second.
                    if complaint != error.to_string() {
                        complaint = error.to_string();
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "Waiting for a serving certificate");
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = cancel.cancelled() => return,
            }
        }
    }

    async fn read(&self) -> Result<CertificateBundle, Error> {
        let key = Secret::new(read(&self.key).await?);
        let certificate = read(&self.certificate).await?;
        // Files read across a swap do not fit each other, and are read again.
        CertificateBundle::parse(String::new(), certificate, key)
            .map_err(|source| Error::Invalid { path: self.certificate.clone(), source })
    }

    fn publish(&self, bundle: CertificateBundle) {
        self.published.send_if_modified(|published| {
            let differs = published.as_deref() != Some(&bundle);
            if differs {
                tracing::info!(path = %self.certificate.display(), not_after = %bundle.not_after, "Read a serving certificate");
                *published = Some(Arc::new(bundle));
            }
            differs
        });
    }
}

async fn read(path: &Path) -> Result<String, Error> {
    tokio::fs::read_to_string(path).await.map_err(|source| Error::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::issue::issue;
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn issued(name: &str) -> CertificateBundle {
        let now = "2024-03-01T12:00:00Z".parse().unwrap();
        issue(&[name.to_owned()], Duration::from_hours(1), now, None).unwrap()
    }

    /// As the kubelet does: a new directory, and a link that is swapped to it.
    fn mount(root: &Path, version: &str, bundle: &CertificateBundle) {
        let target = root.join(version);
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join("tls.crt"), &bundle.cert_pem).unwrap();
        std::fs::write(target.join("tls.key"), bundle.key_pem.expose()).unwrap();
        symlink(version, root.join("..next")).unwrap();
        std::fs::rename(root.join("..next"), root.join("..data")).unwrap();
    }

    #[tokio::test]
    async fn follows_a_swapped_link() {
        let root = tempfile::tempdir().unwrap();
        for file in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(file), root.path().join(file)).unwrap();
        }
        let directory = Directory::new(root.path()).every(Duration::from_millis(20));
        let mut certificates = directory.certificates();
        let cancel = CancellationToken::new();
        let running = tokio::spawn(directory.run(cancel.clone()));
        assert!(certificates.borrow().is_none());

        for (version, name) in [("1", "first.test"), ("2", "second.test")] {
            let expected = issued(name);
            mount(root.path(), version, &expected);
            let served = certificates.wait_for(|served| {
                served.as_ref().is_some_and(|served| served.cert_pem == expected.cert_pem)
            });
            tokio::time::timeout(DEADLINE, served).await.expect("the new certificate is read").unwrap();
        }

        // Half a change is no certificate: the last good one stays.
        std::fs::write(root.path().join("2/tls.key"), issued("third.test").key_pem.expose()).unwrap();
        let error = Directory::new(root.path()).read().await.unwrap_err();
        assert!(error.to_string().contains("cannot be used"), "{error}");
        assert!(certificates.borrow().is_some());
        cancel.cancel();
        tokio::time::timeout(DEADLINE, running).await.expect("it ends when cancelled").unwrap();
    }
}
