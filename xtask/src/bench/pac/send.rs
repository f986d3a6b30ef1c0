//! Sends deliveries as a forge does, and takes the time until they are answered.
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream::FuturesOrdered};
use http::StatusCode;
use testkit::forge::Delivery;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

use super::setup::Setup;

/// A delivery that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// From then on, connecting included.
    pub(super) answered: Duration,
}

/// Sends all of them, `pause` apart; zero is all at once. Each has to be answered so.
pub(super) async fn send(
    setup: &Setup<'_>,
    deliveries: impl IntoIterator<Item = Delivery>,
    pause: Duration,
    expected: StatusCode,
) -> anyhow::Result<Vec<Sent>> {
    let mut ticks = (!pause.is_zero()).then(|| interval(pause));
    if let Some(ticks) = &mut ticks {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    }
    let mut sent = FuturesOrdered::<JoinHandle<anyhow::Result<Sent>>>::new();
    for delivery in deliveries {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let (http, listener) = (setup.http.clone(), setup.listener());
        sent.push_back(tokio::spawn(async move {
            let at = Instant::now();
            let answer = delivery.send(&http, &listener).await.context("send a delivery")?;
            let answered = at.elapsed();
            let status = answer.status();
            let text = answer.text().await?;
            ensure!(status == expected, "a delivery is answered {status}: {text}");
            Ok(Sent { at, answered })
        }));
    }
    sent.map(|sent| sent.context("a sender")?).try_collect().await
}
