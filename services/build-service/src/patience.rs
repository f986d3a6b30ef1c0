//! Calls of the API server, each tried again for a moment before the work that it is part of is.
//!
//! A request of a user takes some twenty calls. The kit begins an attempt that failed from the start, after pauses that grow to
//! minutes: with one call in four refused, as by a server that sheds load, hardly any attempt would come to its end.

use std::time::Duration;

use fleet::{Class, Write, WriteError, Writer};

/// Between tries; a Retry-After of one second fits in.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1200)];

/// Reads, or deletes by name, until the API server answers for good or it has been asked often enough.
pub(crate) async fn read<T, F>(call: impl Fn() -> F) -> kube::Result<T>
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

/// Writes. Each write says what it expects, so that one which was carried out though its answer was lost is not done twice.
pub(crate) async fn write(writer: &Writer, all: &[Write]) -> Result<(), WriteError> {
    for write in all {
        let write = std::slice::from_ref(write);
        let mut pauses = PAUSES.iter();
        loop {
            // Boxed: whoever waits for it would be large too.
            let written = Box::pin(writer.apply(write)).await;
            match (written, pauses.next()) {
                (Err(WriteError::Refused { source, .. }), Some(pause)) if may_pass(&source) => {
                    tokio::time::sleep(*pause).await;
                }
                (done, _) => {
                    done?;
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Whether the same call may be answered otherwise in a moment. A conflict stays one until the object is read again.
fn may_pass(error: &kube::Error) -> bool {
    let is_conflict = matches!(error, kube::Error::Api(status) if status.is_conflict());
    !is_conflict && !fleet::is_permanent(error) && fleet::classify(error) == Class::Retry
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
