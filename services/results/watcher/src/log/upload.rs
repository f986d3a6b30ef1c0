//! The upload of one log, as large as it may be, with as much in memory as is under way.
//!
//! A stream that ends says to the API that the log is complete. So one that broke off, or was dropped with its task, must not end:
//! it fails, which resets it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::channel::mpsc;
use futures::{SinkExt as _, Stream, StreamExt as _};
use http::uri::PathAndQuery;
use prost::Message as _;
use prost::bytes::Bytes;
use results_api::v1alpha2::{Log, LogSummary};
use tokio::time::timeout;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::{Error, Source};
use crate::remote::{self, Remote};

const UPDATE_LOG: &str = "/tekton.results.v1alpha2.Logs/UpdateLog";

/// Pieces that wait for the API, beside those in the connection's own buffers.
const WAITING: usize = 2;

/// Stores what `source` has under this name. Answers how many bytes there were, and what is missing. Where nothing was, nothing
/// is asked of the API.
pub(super) async fn upload(
    remote: &Remote,
    name: String,
    source: &Source,
    stall: Duration,
) -> Result<(u64, Option<String>), Error> {
    let what = format!("store Log {name}");
    let (sink, messages) = channel(name, stall);
    let mut feed = pin!(source.write(sink));
    let mut send = pin!(async {
        let answer = send(remote, messages).await;
        answer.map_err(|status| Error::Remote(remote::Error::of(what, status)))
    });
    tokio::select! {
        biased;
        outcome = &mut feed => match outcome {
            Ok(missing) => Ok((last(stall, send).await?, missing)),
            // Its own answer says more.
            Err(Error::Refused) => last(stall, send).await.and(Err(Error::Refused)),
            Err(error) => Err(error),
        },
        bytes = &mut send => {
            let bytes = bytes?;
            Ok((bytes, feed.await?))
        }
    }
}

/// The answer, once all was said.
async fn last(stall: Duration, send: impl Future<Output = Result<u64, Error>>) -> Result<u64, Error> {
    timeout(stall, send).await.map_err(|_| Error::Stalled(stall))?
}

async fn send(remote: &Remote, messages: Messages) -> Result<u64, Status> {
    let mut messages = Box::pin(messages.peekable());
    if !matches!(messages.as_mut().peek().await, Some(Ok(_))) {
        return Ok(0);
    }
    let mut grpc = tonic::client::Grpc::new(remote.transport());
    grpc.ready().await.map_err(|error| Status::unavailable(format!("it cannot be reached: {error}")))?;
    let path = PathAndQuery::from_static(UPDATE_LOG);
    let answer = grpc.client_streaming(Request::new(messages), path, LogCodec).await?;
    Ok(u64::try_from(answer.into_inner().bytes_received).unwrap_or(0))
}

fn channel(name: String, stall: Duration) -> (Sink, Messages) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let is_complete = Arc::<AtomicBool>::default();
    let messages = Messages { receiver, is_complete: Arc::clone(&is_complete), has_ended: false };
    (Sink { name, sender, is_complete, stall }, messages)
}

/// Takes the pieces of a log. One that is dropped before it is [complete](Self::complete) breaks off the upload.
pub(super) struct Sink {
    name: String,
    sender: mpsc::Sender<Log>,
    is_complete: Arc<AtomicBool>,
    pub(super) stall: Duration,
}

impl Sink {
    /// Waits until there is room for it.
    pub(super) async fn write(&mut self, piece: impl Into<Bytes>) -> Result<(), Error> {
        let data = piece.into();
        if data.is_empty() {
            return Ok(());
        }
        let sent = timeout(self.stall, self.sender.send(Log { name: self.name.clone(), data })).await;
        sent.map_err(|_| Error::Stalled(self.stall))?.map_err(|_| Error::Refused)
    }

    /// That was all.
    pub(super) fn complete(self) {
        self.is_complete.store(true, Ordering::Release);
    }
}

/// The other end of a [`Sink`].
struct Messages {
    receiver: mpsc::Receiver<Log>,
    is_complete: Arc<AtomicBool>,
    has_ended: bool,
}

/// What comes after the last piece of a log that is not complete.
#[derive(Clone, Copy, Debug, PartialEq)]
struct BrokenOff;

impl Stream for Messages {
    type Item = Result<Log, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.receiver.poll_next_unpin(context));
        if let Some(log) = next {
            return Poll::Ready(Some(Ok(log)));
        }
        self.has_ended = true;
        let is_complete = self.is_complete.load(Ordering::Acquire);
        Poll::Ready((!is_complete).then_some(Err(BrokenOff)))
    }
}

/// Messages as everywhere, but for the one that is an error.
#[derive(Clone, Copy, Debug, Default)]
struct LogCodec;

impl Codec for LogCodec {
    type Encode = Result<Log, BrokenOff>;
    type Decode = LogSummary;
    type Encoder = Self;
    type Decoder = <ProstCodec<Log, LogSummary> as Codec>::Decoder;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<Log, LogSummary>::default().decoder()
    }
}

impl Encoder for LogCodec {
    type Item = Result<Log, BrokenOff>;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let log = item.map_err(|BrokenOff| Status::aborted("the log broke off"))?;
        log.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(5);

    async fn messages(is_complete: bool) -> Vec<Result<Log, BrokenOff>> {
        let (mut sink, messages) = channel("log".into(), STALL);
        let fill = async move {
            for piece in ["a", "", "b", "c", "d"] {
                sink.write(piece).await.unwrap();
            }
            if is_complete {
                sink.complete();
            }
        };
        futures::join!(fill, messages.collect::<Vec<_>>()).1
    }

    #[tokio::test]
    async fn a_log_ends_only_when_it_is_complete() {
        let complete = messages(true).await;
        assert_eq!(complete.len(), 4);
        assert!(complete.iter().all(Result::is_ok));
        let broken_off = messages(false).await;
        assert_eq!(broken_off.last(), Some(&Err(BrokenOff)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_stalls_it() {
        let (mut sink, _messages) = channel("log".into(), STALL);
        let mut written = 0;
        let error = loop {
            match sink.write("a").await {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Stalled(_)), "{error}");
        assert!(written <= WAITING + 1, "{written}");
    }

    #[tokio::test]
    async fn who_goes_away_refuses_it() {
        let (mut sink, messages) = channel("log".into(), STALL);
        drop(messages);
        assert!(matches!(sink.write("a").await, Err(Error::Refused)));
    }
}
