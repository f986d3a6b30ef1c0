//! Ports for servers that a test starts.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Context as _;

/// A free port of 127.0.0.1 from below the range that outgoing connections take theirs from: they would take it while the
/// process that is to listen on it is dead. Each is given once.
pub fn free_port() -> anyhow::Result<u16> {
    const LOWEST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    static FIRST: LazyLock<u16> = LazyLock::new(|| rand::random_range(0..COUNT));
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| GIVEN.fetch_add(1, Ordering::Relaxed))
        .take(100)
        .map(|given| LOWEST + (*FIRST + given % COUNT) % COUNT)
        .find(is_free)
        .context("a hundred ports of 127.0.0.1 between 20000 and 30000 are taken")
}
