//! Callers who each wait for an answer before they call again.
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rand::Rng as _;
use tokio::task::JoinSet;

use super::{client::Client, runs};
use crate::bench::units::count;

/// What they do, over and over.
#[derive(Clone)]
pub(super) enum Work {
    /// One record at a time, into Results that are there. No two loads have the same prefix.
    Create { prefix: String, document: Arc<str> },
    /// Any of the records that [`runs::fill`] made.
    Get { records: usize },
}

/// Who calls, and where.
pub(super) struct Load<'a> {
    pub(super) address: SocketAddr,
    pub(super) token: &'a str,
    pub(super) namespace: &'a str,
    /// How many Results there are.
    pub(super) results: usize,
}

pub(super) struct Answered {
    pub(super) times: Vec<Duration>,
    pub(super) took: Duration,
}

impl Answered {
    pub(super) fn rate(&self) -> f64 {
        count(self.times.len()) / self.took.as_secs_f64()
    }
}

impl Load<'_> {
    /// So many callers, for so long, each with a connection that stands before the clock starts.
    pub(super) async fn run(&self, callers: usize, work: Work, time: Duration) -> anyhow::Result<Answered> {
        let mut clients = Vec::new();
        for _ in 0..callers {
            let mut client = Client::new(self.address, self.token)?;
            client.get_record(&runs::name(self.namespace, 0)).await?;
            clients.push(client);
        }
        let began = Instant::now();
        let mut calling = JoinSet::new();
        for (number, client) in clients.into_iter().enumerate() {
            let caller =
                Caller { client, number, namespace: self.namespace.to_owned(), results: self.results };
            calling.spawn(caller.run(work.clone(), began + time));
        }
        let mut times = Vec::new();
        while let Some(ended) = calling.join_next().await {
            times.extend(ended.context("a caller")??);
        }
        Ok(Answered { times, took: began.elapsed() })
    }
}

struct Caller {
    client: Client,
    number: usize,
    namespace: String,
    results: usize,
}

impl Caller {
    async fn run(mut self, work: Work, end: Instant) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        while Instant::now() < end {
            let began = Instant::now();
            match &work {
                Work::Create { prefix, document } => {
                    let result = rand::rng().random_range(0..self.results);
                    let result = format!("{}/results/result-{result}", self.namespace);
                    let name = format!("{prefix}-{}-{}", self.number, times.len());
                    self.client.create_record(&result, &name, runs::TASK_RUN, document.as_bytes()).await?;
                }
                Work::Get { records } => {
                    let name = runs::name(&self.namespace, rand::rng().random_range(0..*records));
                    self.client.get_record(&name).await?;
                }
            }
            times.push(began.elapsed());
        }
        Ok(times)
    }
}
