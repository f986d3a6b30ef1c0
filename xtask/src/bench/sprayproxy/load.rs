//! Senders that each wait for an answer before they send the next webhook.
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use crate::bench::units::precise;

/// What the webhooks are signed with.
pub(super) const SECRET: &str = "bench";

/// The same webhook, again and again, but for its name.
pub(super) struct Load {
    connections: usize,
    head: String,
    body: Vec<u8>,
}

/// What was seen from outside.
pub(super) struct Measured {
    /// Of requests that were answered well, in ascending order.
    latencies: Vec<Duration>,
    /// Answered with something else.
    pub(super) failed: usize,
    took: Duration,
    /// Processor time of the proxy.
    pub(super) cpu: Duration,
    /// The most resident memory of the proxy, in bytes.
    pub(super) memory: u64,
}

impl Load {
    pub(super) fn new(connections: usize, bytes: usize) -> Self {
        let body = vec![b' '; bytes];
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
        let signature = data_encoding::HEXLOWER.encode(aws_lc_rs::hmac::sign(&key, &body).as_ref());
        let head = format!(
            "POST / HTTP/1.1\r\nhost: proxy.test\r\nuser-agent: GitHub-Hookshot/bench\r\naccept: */*\r\n\
             content-type: application/json\r\nx-github-event: push\r\nx-github-hook-id: 1\r\n\
             x-github-hook-installation-target-id: 1\r\nx-github-hook-installation-target-type: integration\r\n\
             x-hub-signature-256: sha256={signature}\r\ncontent-length: {bytes}\r\nx-github-delivery: "
        );
        Self { connections, head, body }
    }

    /// Sends for so long.
    pub(super) async fn run(&self, to: SocketAddr, time: Duration) -> anyhow::Result<Measured> {
        let began = Instant::now();
        let end = began + time;
        let mut senders = JoinSet::new();
        for sender in 0..self.connections {
            let (head, body) = (self.head.clone(), self.body.clone());
            senders.spawn(async move { send(to, &head, &body, sender, end).await });
        }
        let mut latencies = Vec::new();
        let mut failed = 0;
        while let Some(ended) = senders.join_next().await {
            let (these, failures) = ended.context("a sender")??;
            latencies.extend(these);
            failed += failures;
        }
        latencies.sort_unstable();
        Ok(Measured { latencies, failed, took: began.elapsed(), cpu: Duration::ZERO, memory: 0 })
    }
}

/// Each request has a name of its own, as deliveries have.
async fn send(
    to: SocketAddr,
    head: &str,
    body: &[u8],
    sender: usize,
    end: Instant,
) -> anyhow::Result<(Vec<Duration>, usize)> {
    let mut stream = TcpStream::connect(to).await.with_context(|| format!("connect to {to}"))?;
    stream.set_nodelay(true)?;
    let (mut latencies, mut failed) = (Vec::new(), 0);
    let mut request = Vec::with_capacity(head.len() + body.len() + 64);
    let mut answer = Vec::with_capacity(1024);
    while Instant::now() < end {
        request.clear();
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(format!("{sender}-{}-{}\r\n\r\n", latencies.len(), failed).as_bytes());
        request.extend_from_slice(body);
        answer.clear();
        let began = Instant::now();
        stream.write_all(&request).await?;
        let status = loop {
            match message(&answer) {
                Some(message) if message.length <= answer.len() => break message.status,
                _ => {
                    anyhow::ensure!(stream.read_buf(&mut answer).await? > 0, "the proxy closed a connection");
                }
            }
        };
        // nginx hands the back end's 202 on.
        if (200..300).contains(&status) {
            latencies.push(began.elapsed());
        } else {
            failed += 1;
        }
    }
    Ok((latencies, failed))
}

impl Measured {
    pub(super) fn count(&self) -> usize {
        self.latencies.len() + self.failed
    }

    /// Good answers per second.
    pub(super) fn rate(&self) -> f64 {
        number(self.latencies.len()) / self.took.as_secs_f64()
    }

    fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * percent / 100).copied().unwrap_or_default()
    }

    pub(super) fn p99_millis(&self) -> f64 {
        self.percentile(99).as_secs_f64() * 1e3
    }

    pub(super) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / number(self.count()).max(1.0)
    }

    pub(super) fn summary(&self) -> String {
        format!(
            "{:.0}/s, p50 {:.1} ms, p99 {:.1} ms, CPU {:.0} µs",
            self.rate(),
            self.percentile(50).as_secs_f64() * 1e3,
            self.p99_millis(),
            self.cpu_micros()
        )
    }
}

fn number(count: usize) -> f64 {
    precise(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The beginning of an HTTP/1.1 message.
pub(super) struct Message {
    /// 0 for a request.
    status: u16,
    /// Of head and body.
    pub(super) length: usize,
}

/// `None` until the head is complete. Reads what proxies and our own back ends send, no more.
pub(super) fn message(bytes: &[u8]) -> Option<Message> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0);
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    Some(Message { status, length: end + length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_where_a_message_ends() {
        assert!(message(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n").is_none());
        let answer = message(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nproxied").unwrap();
        assert_eq!((answer.status, answer.length), (200, 38 + 7));
        let request = message(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert_eq!((request.status, request.length), (0, 38));
    }

    #[test]
    fn sums_up() {
        let latencies = (1..=100).map(Duration::from_millis).collect();
        let measured = Measured {
            latencies,
            failed: 0,
            took: Duration::from_secs(2),
            cpu: Duration::from_millis(5),
            memory: 0,
        };
        assert_eq!(measured.summary(), "50/s, p50 50.0 ms, p99 99.0 ms, CPU 50 µs");
    }
}
