//! What the steps of a TaskRun printed.

use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};
use tokio::time::timeout;

use super::Error;
use super::lines::{Lines, Prefix};
use super::upload::Sink;
use crate::facts::{Attempt, Step};

/// Bytes that are read at once.
const PIECE: usize = 32 << 10;

pub(super) async fn write(
    client: &Client,
    namespace: &str,
    attempts: &[Attempt],
    mut sink: Sink,
) -> Result<Option<String>, Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut missing = attempts.is_empty().then(|| "it had no pod".to_owned());
    for attempt in attempts {
        for step in &attempt.steps {
            if let Printed::Gone = copy(&pods, &attempt.pod, step, &mut sink).await? {
                missing = Some(format!("pod {} was gone before its log was read", attempt.pod));
                break;
            }
        }
    }
    sink.complete();
    Ok(missing)
}

enum Printed {
    All,
    /// There is no such pod.
    Gone,
}

async fn copy(pods: &Api<Pod>, pod: &str, step: &Step, sink: &mut Sink) -> Result<Printed, Error> {
    let container =
        if step.container.is_empty() { format!("step-{}", step.name) } else { step.container.clone() };
    let stall = sink.stall;
    let params = LogParams { container: Some(container.clone()), ..LogParams::default() };
    let opened = timeout(stall, pods.log_stream(pod, &params)).await.map_err(|_| Error::Stalled(stall))?;
    let log = match opened {
        Ok(log) => log,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Printed::Gone),
        // A container that was never started printed nothing.
        Err(kube::Error::Api(status)) if status.code == 400 => return Ok(Printed::All),
        Err(source) => return Err(Error::Read { pod: pod.to_owned(), container, source }),
    };
    let mut log = std::pin::pin!(log);
    let mut lines = Lines::new(Prefix::Step(step.name.clone()));
    let mut piece = vec![0; PIECE];
    loop {
        let read = timeout(stall, log.read(&mut piece)).await.map_err(|_| Error::Stalled(stall))?;
        let count = read.map_err(|source| Error::BrokeOff {
            pod: pod.to_owned(),
            container: container.clone(),
            source,
        })?;
        if count == 0 {
            sink.write(lines.end()).await?;
            return Ok(Printed::All);
        }
        sink.write(lines.turn(&piece[..count])).await?;
    }
}
