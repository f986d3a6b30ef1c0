//! Calls of the API server, each tried again for a moment before the work that it is part of is.
//!
//! A pass that makes some ten calls is begun from the start when one of them fails, after pauses that grow to minutes: with one call
//! in three lost, or refused by a server that sheds load, hardly any pass would come to its end. For writes see
//! [`Writer::patient`](crate::Writer::patient).

use std::time::Duration;

use crate::class::{Class, classify, is_permanent};

/// Between tries; a Retry-After of one second fits in.
pub(crate) const PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1200)];

/// Reads, or deletes by name, until the API server answers for good or it was asked four times within two seconds.
pub async fn read<T, F>(call: impl Fn() -> F) -> kube::Result<T>
where
    F: Future<Output = kube::Result<T>>,
{
    for pause in PAUSES {
        match call().await {
            Err(error) if may_pass(&error) => tokio::time::sleep(pause).await,
            done => return done,
        }
    }
    call().await
}

/// Whether the same call may be answered otherwise in a moment. A conflict stays one until the object is read again.
pub(crate) fn may_pass(error: &kube::Error) -> bool {
    let is_conflict = matches!(error, kube::Error::Api(status) if status.is_conflict());
    !is_conflict && !is_permanent(error) && classify(error) == Class::Retry
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn answer(code: u16) -> kube::Error {
        let reason = if code == 409 { "Conflict" } else { "" };
        let status = kube::core::Status::failure("", reason).with_code(code);
        kube::Error::Api(status.boxed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_is_repeated_while_the_server_cannot_answer() {
        let tries = Cell::new(0);
        let read = read(|| {
            tries.set(tries.get() + 1);
            std::future::ready(if tries.get() < 4 { Err(answer(429)) } else { Ok(tries.get()) })
        });
        assert_eq!(read.await.unwrap(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_and_so_does_the_last_try() {
        for (code, expected) in [(403, 1), (404, 1), (409, 1), (503, 4)] {
            let tries = Cell::new(0);
            let read: kube::Result<()> = read(|| {
                tries.set(tries.get() + 1);
                std::future::ready(Err(answer(code)))
            })
            .await;
            assert!(read.is_err());
            assert_eq!(tries.get(), expected, "{code}");
        }
    }
}
