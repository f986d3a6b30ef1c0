//! Which back ends there are: those of the command line, of a file, and those that were registered.
//!
//! Readers take the whole set as it is at that moment; who changes it makes a new one. So a registration never meets a
//! webhook half-way.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::backend::{Backend, Origin, parse_all};

/// Contents are compared: the kubelet swaps a link two levels up.
const REREAD: Duration = Duration::from_secs(5);

/// The set. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Backends(Arc<Inner>);

struct Inner {
    current: RwLock<Arc<[Arc<Backend>]>>,
    changed: watch::Sender<()>,
    sources: Mutex<Sources>,
    file: Option<PathBuf>,
    /// Where registered ones outlive the process.
    registered_file: Option<PathBuf>,
}

/// What the set is made of.
struct Sources {
    given: Vec<Origin>,
    file: Vec<Origin>,
    /// As they were registered, with what they mean.
    registered: Vec<Registered>,
}

#[derive(Clone)]
struct Registered {
    text: String,
    origin: Origin,
    is_trusted: bool,
}

/// Why the set cannot be read at the start.
#[derive(Debug, thiserror::Error)]
#[error("--backends-file (SPRAYPROXY_SERVER_BACKENDS_FILE) {path}: cannot be read", path = path.display())]
pub(crate) struct FileError {
    path: PathBuf,
    source: io::Error,
}

impl Backends {
    /// Reads the file; a folder without it is fine, as an optional ConfigMap is mounted.
    pub(crate) fn new(
        given: Vec<Origin>,
        file: Option<PathBuf>,
        registered_file: Option<PathBuf>,
    ) -> Result<Self, FileError> {
        let inner = Inner {
            current: RwLock::new(Arc::from([])),
            changed: watch::channel(()).0,
            sources: Mutex::new(Sources { given, file: Vec::new(), registered: Vec::new() }),
            file,
            registered_file,
        };
        let from_file = inner.read_file()?;
        {
            let mut sources = inner.sources.lock();
            sources.file = from_file;
            inner.publish(&sources);
        }
        Ok(Self(Arc::new(inner)))
    }

    /// All, at this moment.
    pub(crate) fn all(&self) -> Arc<[Arc<Backend>]> {
        self.0.current.read().clone()
    }

    /// Told whenever the set differs.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// Takes up changes of the file. Never ends.
    pub(crate) async fn follow_file(self) {
        let mut complaint = String::new();
        loop {
            tokio::time::sleep(REREAD).await;
            let backends = self.clone();
            match tokio::task::spawn_blocking(move || backends.0.reread()).await {
                Ok(Ok(())) => complaint.clear(),
                Ok(Err(error)) if error.to_string() == complaint => {}
                Ok(Err(error)) => {
                    complaint = error.to_string();
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "Back ends cannot be read; those from before stay");
                }
                Err(_) => return,
            }
        }
    }

    /// As they were registered, in that order.
    pub(crate) fn registered(&self) -> Vec<String> {
        self.0.sources.lock().registered.iter().map(|registered| registered.text.clone()).collect()
    }

    /// `false` if this text is registered already.
    pub(crate) fn register(&self, text: &str, origin: Origin, is_trusted: bool) -> bool {
        let mut sources = self.0.sources.lock();
        if sources.registered.iter().any(|registered| registered.text == text) {
            return false;
        }
        sources.registered.push(Registered { text: text.to_owned(), origin, is_trusted });
        self.0.registration_changed(&sources);
        true
    }

    /// What there is no more if this text was the last that named it; `None` if it was not registered.
    pub(crate) fn unregister(&self, text: &str) -> Option<Origin> {
        let mut sources = self.0.sources.lock();
        let index = sources.registered.iter().position(|registered| registered.text == text)?;
        let Registered { origin, .. } = sources.registered.remove(index);
        self.0.registration_changed(&sources);
        Some(origin)
    }

    /// Whether there is a back end of this origin now.
    pub(crate) fn has(&self, origin: &Origin) -> bool {
        self.all().iter().any(|backend| backend.origin == *origin)
    }

    /// Takes over what an earlier process had registered, as far as it may still be.
    pub(crate) fn restore(&self, admit: impl Fn(&str) -> Option<(Origin, bool)>) {
        let Some(path) = &self.0.registered_file else { return };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                tracing::error!(path = %path.display(), error = %error, "Registered back ends of an earlier run cannot be read");
                return;
            }
        };
        for text in text.lines() {
            let Some((origin, is_trusted)) = admit(text) else {
                tracing::warn!(
                    backend = fleet::redact(text),
                    "A registered back end of an earlier run is not permitted any more"
                );
                continue;
            };
            self.register(text, origin, is_trusted);
        }
    }
}

impl Inner {
    fn read_file(&self) -> Result<Vec<Origin>, FileError> {
        let Some(path) = &self.file else { return Ok(Vec::new()) };
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(parse_all(text.lines().map(|line| line.split('#').next().unwrap_or_default()))),
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && path.parent().is_some_and(std::path::Path::is_dir) =>
            {
                Ok(Vec::new())
            }
            Err(source) => Err(FileError { path: path.clone(), source }),
        }
    }

    fn reread(&self) -> Result<(), FileError> {
        let read = self.read_file()?;
        let mut sources = self.sources.lock();
        if sources.file != read {
            sources.file = read;
            self.publish(&sources);
        }
        Ok(())
    }

    fn registration_changed(&self, sources: &Sources) {
        self.publish(sources);
        let Some(path) = &self.registered_file else { return };
        let text: String =
            sources.registered.iter().flat_map(|registered| [&registered.text, "\n"]).collect();
        // Whole or not at all.
        let next = path.with_extension("next");
        if let Err(error) = std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, path)) {
            tracing::error!(path = %path.display(), error = %error, "Registered back ends cannot be kept; a restart forgets them");
        }
    }

    /// Makes the set anew. A back end that stays keeps what is known of its health.
    fn publish(&self, sources: &Sources) {
        let trusted = sources.given.iter().chain(&sources.file).map(|origin| (origin, true));
        let registered =
            sources.registered.iter().map(|registered| (&registered.origin, registered.is_trusted));
        let before = self.current.read().clone();
        let mut seen = BTreeSet::new();
        let mut all: Vec<Arc<Backend>> = Vec::new();
        for (origin, is_trusted) in trusted.chain(registered) {
            if !seen.insert(origin.to_string()) {
                continue;
            }
            let known = before.iter().find(|known| known.origin == *origin && known.is_trusted == is_trusted);
            all.push(known.cloned().unwrap_or_else(|| Arc::new(Backend::new(origin.clone(), is_trusted))));
        }
        let names: Vec<&str> = all.iter().map(|backend| backend.name.as_str()).collect();
        tracing::info!(count = all.len(), backends = names.join(" "), "Back ends");
        *self.current.write() = all.into();
        self.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    fn names(backends: &Backends) -> Vec<String> {
        backends.all().iter().map(|backend| backend.name.clone()).collect()
    }

    #[test]
    fn is_what_is_given_in_the_file_and_registered_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backends");
        let backends = Backends::new(vec![origin("https://a.test")], Some(file.clone()), None).unwrap();
        assert_eq!(names(&backends), ["https://a.test"], "a file that is not there yet is empty");
        std::fs::write(&file, "# member clusters\nhttps://b.test # second\n\nhttps://a.test/\nnonsense\n")
            .unwrap();
        backends.0.reread().unwrap();
        assert!(backends.register("https://b.test/x", origin("https://b.test"), false));
        assert!(backends.register("https://c.test", origin("https://c.test"), false));
        assert!(!backends.register("https://c.test", origin("https://c.test"), false));
        assert_eq!(names(&backends), ["https://a.test", "https://b.test", "https://c.test"]);
        assert_eq!(backends.registered(), ["https://b.test/x", "https://c.test"]);
        let kept = backends.all()[0].clone();
        std::fs::write(&file, "").unwrap();
        backends.0.reread().unwrap();
        assert!(Arc::ptr_eq(&kept, &backends.all()[0]), "what stays is the same");
        assert!(!backends.all()[1].is_trusted, "what the file trusted is only registered now");
        assert_eq!(backends.unregister("https://c.test"), Some(origin("https://c.test")));
        assert_eq!(backends.unregister("https://c.test"), None);
        assert!(!backends.has(&origin("https://c.test")));
    }

    #[test]
    fn registered_ones_outlive_the_process_as_far_as_they_may() {
        let folder = tempfile::tempdir().unwrap();
        let new = || Backends::new(Vec::new(), None, Some(folder.path().join("registered"))).unwrap();
        let backends = new();
        backends.register("https://a.test", origin("https://a.test"), true);
        backends.register("https://b.test", origin("https://b.test"), true);
        backends.unregister("https://b.test");
        backends.register("https://c.test", origin("https://c.test"), true);
        let backends = new();
        backends.restore(|text| (text != "https://c.test").then(|| (origin(text), true)));
        assert_eq!(names(&backends), ["https://a.test"]);
    }

    #[test]
    fn a_wrong_path_of_the_file_ends_the_start() {
        let error = Backends::new(Vec::new(), Some("/nowhere/backends".into()), None).err().unwrap();
        assert!(error.to_string().contains("--backends-file"), "{error}");
    }
}
