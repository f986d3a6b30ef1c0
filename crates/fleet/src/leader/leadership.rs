//! The answer to "do we lead?", shared by everything that writes.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// Whether this process leads. Cheap to clone and to ask.
#[derive(Clone, Debug)]
pub struct Leadership(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Fixed(watch::Receiver<bool>),
    Elected { until: Arc<Mutex<Option<Instant>>>, held: watch::Receiver<bool> },
}

impl Leadership {
    /// For a process that runs alone: `--leader-elect=false`, tests.
    pub fn always() -> Self {
        Self::fixed(true)
    }

    /// For what another replica does, whoever leads here: all but the first shard leave the certificate to that one.
    pub fn never() -> Self {
        Self::fixed(false)
    }

    fn fixed(is_held: bool) -> Self {
        // A receiver keeps the last value when its sender is gone.
        Self(Kind::Fixed(watch::channel(is_held).1))
    }

    /// Whether a write may leave now. Looks at the clock, so that a process that was stopped and goes on knows that
    /// its term is over before it has renewed or lost anything.
    pub fn is_held(&self) -> bool {
        match &self.0 {
            Kind::Fixed(held) => *held.borrow(),
            Kind::Elected { until, .. } => until.lock().is_some_and(|until| Instant::now() < until),
        }
    }

    /// Resolves when this process leads; never, if it does not come to that.
    pub async fn held(&self) {
        if self.watch().wait_for(|held| *held).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Changes as leadership comes and goes. Loss by a pause of the whole process shows only when the election
    /// wakes up again: before a write ask [`Leadership::is_held`].
    pub fn watch(&self) -> watch::Receiver<bool> {
        match &self.0 {
            Kind::Fixed(held) | Kind::Elected { held, .. } => held.clone(),
        }
    }
}

/// The election's end of [`Leadership`].
#[derive(Debug)]
pub(super) struct Term {
    until: Arc<Mutex<Option<Instant>>>,
    held: watch::Sender<bool>,
}

impl Term {
    pub(super) fn new() -> Self {
        Self { until: Arc::default(), held: watch::channel(false).0 }
    }

    pub(super) fn leadership(&self) -> Leadership {
        Leadership(Kind::Elected { until: self.until.clone(), held: self.held.subscribe() })
    }

    pub(super) fn extend(&self, until: Instant) {
        *self.until.lock() = Some(until);
        self.held.send_if_modified(|held| !std::mem::replace(held, true));
    }

    pub(super) fn end(&self) {
        *self.until.lock() = None;
        self.held.send_if_modified(|held| std::mem::replace(held, false));
    }
}

/// An election that is dropped half-way holds nothing that could be relied on.
impl Drop for Term {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ends_by_the_clock_alone() {
        let term = Term::new();
        let leadership = term.leadership();
        assert!(!leadership.is_held());

        term.extend(Instant::now() + Duration::from_secs(10));
        leadership.held().await;
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(leadership.is_held());

        // As after SIGSTOP and SIGCONT: nobody has told anything yet.
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!leadership.is_held());

        term.extend(Instant::now() + Duration::from_secs(10));
        assert!(leadership.is_held());
    }

    #[tokio::test]
    async fn ends_with_the_election() {
        let term = Term::new();
        let leadership = term.leadership();
        term.extend(Instant::now() + Duration::from_secs(10));
        drop(term);
        assert!(!leadership.is_held());
        assert!(!*leadership.watch().borrow());
        assert_eq!(leadership.held().now_or_never(), None);
    }

    #[tokio::test]
    async fn is_always_held_alone_and_never_by_another_shard() {
        let leadership = Leadership::always();
        assert!(leadership.is_held());
        assert_eq!(leadership.held().now_or_never(), Some(()));
        let leadership = Leadership::never();
        assert!(!leadership.is_held());
        assert_eq!(leadership.held().now_or_never(), None);
    }
}
