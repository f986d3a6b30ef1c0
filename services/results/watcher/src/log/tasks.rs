//! The log of a PipelineRun, made of what is stored of its TaskRuns.

use results_api::v1alpha2::GetLogRequest;
use tokio::time::timeout;
use tonic::Code;

use super::Error;
use super::lines::{Lines, Prefix};
use super::upload::Sink;
use crate::remote::{self, Remote};

/// A task of a PipelineRun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) name: String,
    /// Name of its Log; `None` if nobody knows.
    pub(crate) log: Option<String>,
}

pub(super) async fn write(remote: &Remote, tasks: &[Task], mut sink: Sink) -> Result<Option<String>, Error> {
    let mut missing = tasks.is_empty().then(|| "it had no TaskRun".to_owned());
    for task in tasks {
        let Some(log) = &task.log else {
            missing = Some(format!("the TaskRun of task {} was gone before", task.name));
            continue;
        };
        copy(remote, &task.name, log, &mut sink).await?;
    }
    sink.complete();
    Ok(missing)
}

/// What printed nothing, or is known not to be stored, says so itself.
async fn copy(remote: &Remote, task: &str, log: &str, sink: &mut Sink) -> Result<(), Error> {
    let stall = sink.stall;
    let failed = |status| Error::Remote(remote::Error::of(format!("read Log {log}"), status));
    let request = GetLogRequest { name: log.to_owned() };
    let mut logs = remote.logs();
    let opened = timeout(stall, logs.get_log(request)).await.map_err(|_| Error::Stalled(stall))?;
    let mut pieces = match opened {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::NotFound => return Ok(()),
        Err(status) => return Err(failed(status)),
    };
    let mut lines = Lines::new(Prefix::Task(task.to_owned()));
    loop {
        let next = timeout(stall, pieces.message()).await.map_err(|_| Error::Stalled(stall))?;
        match next {
            Ok(Some(piece)) => sink.write(lines.turn(&piece.data)).await?,
            Ok(None) => return sink.write(lines.end()).await,
            // Some servers find out only when they begin to send.
            Err(status) if status.code() == Code::NotFound => return Ok(()),
            Err(status) => return Err(failed(status)),
        }
    }
}
