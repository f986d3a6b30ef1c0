//! The interpreter calls itself for each level of rules, of loops and of values: it needs more stack than threads usually have.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Bytes. Only what is used takes memory. A debug build takes about ten times what a release build does.
const STACK: usize = 256 * 1024 * 1024;

/// What was to run has not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    #[error("no thread can be started for a policy")]
    NotStarted(#[source] io::Error),
    #[error("the evaluation of a policy has panicked")]
    Panicked,
}

/// Runs work of the interpreter on a thread of its own, with a large stack.
pub async fn on_large_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
    let (done, result) = oneshot::channel();
    let span = tracing::Span::current();
    thread::Builder::new()
        .name("rego".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            let outcome = span.in_scope(work);
            // Nobody waits any more if the caller was given up.
            drop(done.send(outcome));
        })
        .map_err(Lost::NotStarted)?;
    result.await.map_err(|_| Lost::Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(levels: u64) -> u64 {
        let room = std::hint::black_box([levels; 128]);
        if levels == 0 { 0 } else { 1 + depth(levels - 1) + room[0] - levels }
    }

    #[tokio::test]
    async fn has_room_for_what_no_usual_thread_holds() {
        assert_eq!(on_large_stack(|| depth(20_000)).await.unwrap(), 20_000);
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let lost = on_large_stack(|| assert!(std::hint::black_box(false), "on purpose")).await.unwrap_err();
        assert!(matches!(lost, Lost::Panicked), "{lost}");
    }
}
