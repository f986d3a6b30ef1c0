//! Passes the events of a watch on, not quite as they came.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use super::plan::WatchFault;
use super::proxy::Cut;

/// How long an event waits for another one to change places with.
const PATIENCE: Duration = Duration::from_millis(200);

/// Relays the watch `from` until it or its reader ends, or the fault ends it.
pub(super) async fn relay<B>(from: B, fault: WatchFault, to: Sender<Result<Bytes, Cut>>)
where
    B: Body<Data = Bytes> + Unpin,
{
    let reader = to.clone();
    let mut relay = Relay { events: Events { from, buffer: Vec::new() }, to };
    tokio::select! {
        () = reader.closed() => {}
        _ = relay.run(fault) => {}
    }
}

/// The reader of the watch is gone.
struct Gone;

struct Relay<B> {
    events: Events<B>,
    to: Sender<Result<Bytes, Cut>>,
}

impl<B: Body<Data = Bytes> + Unpin> Relay<B> {
    async fn run(&mut self, fault: WatchFault) -> Result<(), Gone> {
        match fault {
            WatchFault::Cut { after } => {
                if self.pass(after).await? {
                    self.cut().await?;
                }
            }
            WatchFault::Expire { after } => {
                if self.pass(after).await? {
                    self.send(expired()).await?;
                }
            }
            WatchFault::Stall { after, lasting } => {
                if self.pass(after).await? {
                    sleep(lasting).await;
                    self.cut().await?;
                }
            }
            WatchFault::Duplicate => {
                while let Some(event) = self.events.next().await {
                    if !event.is_bookmark() {
                        self.send(event.line.clone()).await?;
                    }
                    self.send(event.line).await?;
                }
            }
            WatchFault::Reorder => self.reorder().await?,
        }
        Ok(())
    }

    /// Passes on so many events, and loses the next. False if the watch ended before.
    async fn pass(&mut self, count: usize) -> Result<bool, Gone> {
        let mut passed = 0;
        while let Some(event) = self.events.next().await {
            if !event.is_bookmark() {
                if passed == count {
                    return Ok(true);
                }
                passed += 1;
            }
            self.send(event.line).await?;
        }
        Ok(false)
    }

    async fn reorder(&mut self) -> Result<(), Gone> {
        let mut held: Option<Event> = None;
        loop {
            let next = match &held {
                Some(_) => timeout(PATIENCE, self.events.next()).await,
                None => Ok(self.events.next().await),
            };
            let first = held.take();
            match next {
                Ok(Some(next)) if next.is_bookmark() => {
                    // It vouches for all that came before.
                    self.send_all([first, Some(next)]).await?;
                }
                Ok(Some(next)) if first.as_ref().is_some_and(|first| first.uid != next.uid) => {
                    self.send_all([Some(next), first]).await?;
                }
                Ok(Some(next)) => {
                    self.send_all([first]).await?;
                    held = Some(next);
                }
                Ok(None) => return self.send_all([first]).await,
                Err(_) => self.send_all([first]).await?,
            }
        }
    }

    async fn send_all(&mut self, events: impl IntoIterator<Item = Option<Event>>) -> Result<(), Gone> {
        for event in events.into_iter().flatten() {
            self.send(event.line).await?;
        }
        Ok(())
    }

    async fn send(&mut self, line: Vec<u8>) -> Result<(), Gone> {
        self.to.send(Ok(line.into())).await.map_err(|_| Gone)
    }

    async fn cut(&mut self) -> Result<(), Gone> {
        self.to.send(Err(Cut)).await.map_err(|_| Gone)
    }
}

fn expired() -> Vec<u8> {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version (by plan of the fault proxy)",
    });
    let mut line = json!({"type": "ERROR", "object": status}).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// One line of a watch.
struct Event {
    line: Vec<u8>,
    type_: String,
    uid: String,
}

impl Event {
    fn is_bookmark(&self) -> bool {
        self.type_ == "BOOKMARK"
    }
}

/// The lines of a watch's body.
struct Events<B> {
    from: B,
    buffer: Vec<u8>,
}

impl<B: Body<Data = Bytes> + Unpin> Events<B> {
    /// The next event; `None` at the end. Nothing is lost when the future is dropped.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Some(Event::parse(self.buffer.drain(..=end).collect()));
            }
            let frame = self.from.frame().await?.ok()?;
            self.buffer.extend_from_slice(frame.data_ref()?);
        }
    }
}

impl Event {
    fn parse(line: Vec<u8>) -> Self {
        #[derive(Default, Deserialize)]
        struct Line {
            #[serde(rename = "type")]
            type_: String,
            object: Object,
        }
        #[derive(Default, Deserialize)]
        struct Object {
            #[serde(default)]
            metadata: Metadata,
        }
        #[derive(Default, Deserialize)]
        struct Metadata {
            #[serde(default)]
            uid: String,
        }
        let parsed: Line = serde_json::from_slice(&line).unwrap_or_default();
        Self { line, type_: parsed.type_, uid: parsed.object.metadata.uid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use rstest::rstest;

    /// Events as `<uid><nth>`, bookmarks as `-`.
    fn line(word: &str) -> String {
        let type_ = if word == "-" { "BOOKMARK" } else { "MODIFIED" };
        let uid = &word[..1];
        format!("{}\n", json!({"type": type_, "object": {"metadata": {"uid": uid, "name": word}}}))
    }

    fn word(line: &[u8]) -> String {
        let event: serde_json::Value = serde_json::from_slice(line).unwrap();
        match &event["type"] {
            type_ if type_ == "ERROR" => event["object"]["code"].to_string(),
            _ => event["object"]["metadata"]["name"].as_str().unwrap().to_owned(),
        }
    }

    #[rstest]
    #[case::cut(WatchFault::Cut { after: 2 }, "a1 - b1 cut")]
    #[case::cut_at_once(WatchFault::Cut { after: 0 }, "cut")]
    #[case::not_that_many(WatchFault::Cut { after: 9 }, "a1 - b1 b2 a2 a3 c1")]
    #[case::expired(WatchFault::Expire { after: 2 }, "a1 - b1 410")]
    #[case::stalled(WatchFault::Stall { after: 1, lasting: Duration::from_hours(1) }, "a1 - cut")]
    #[case::doubled(WatchFault::Duplicate, "a1 a1 - b1 b1 b2 b2 a2 a2 a3 a3 c1 c1")]
    #[case::reordered(WatchFault::Reorder, "a1 - b1 a2 b2 c1 a3")]
    #[tokio::test(start_paused = true)]
    async fn relays(#[case] fault: WatchFault, #[case] expected: &str) {
        let text: String = ["a1", "-", "b1", "b2", "a2", "a3", "c1"].into_iter().map(line).collect();
        let (to, mut relayed) = tokio::sync::mpsc::channel(64);
        relay(Full::new(Bytes::from(text)), fault, to).await;
        let mut words = Vec::new();
        while let Some(part) = relayed.recv().await {
            words.push(part.map_or_else(|_| "cut".to_owned(), |line| word(&line)));
        }
        assert_eq!(words.join(" "), expected);
    }
}
