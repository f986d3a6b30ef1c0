//! The service `Logs`: who may, and the streams; what is done is in [`crate::logs_service`].

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use results_api::HttpBody;
use results_api::names::LogName;
use results_api::v1alpha2::logs_server::Logs;
use results_api::v1alpha2::{
    DeleteLogRequest, GetLogRequest, ListRecordsRequest, ListRecordsResponse, Log, LogSummary,
};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::convert::{record_message, store_status};
use super::results::{parsed, records_of};
use super::{Api, LOGS, code};
use crate::auth::{Resource, Verb};
use crate::logs_service::LogsService;
use crate::metrics::{Call, Method};
use crate::store::List;

/// Between two pieces of a log that is sent to us.
const IDLE: Duration = Duration::from_mins(1);

/// What stored logs are, to browsers too.
const TEXT: &str = "text/plain";

const fn method(kind: &'static str, name: &'static str) -> Method {
    Method { kind, service: LOGS, name }
}

#[async_trait]
impl Logs for Api {
    type GetLogStream = BoxStream<'static, Result<HttpBody, Status>>;

    async fn get_log(&self, request: Request<GetLogRequest>) -> Result<Response<Self::GetLogStream>, Status> {
        let mut call = self.0.metrics.begin(method("server_stream", "GetLog"));
        call.received();
        let opened = async {
            let (metadata, _, GetLogRequest { name }) = request.into_parts();
            let caller = self.caller(&metadata.into_headers()).await?;
            let name: LogName = parsed("name", &name)?;
            self.allow(&caller, Verb::Get, Resource::Logs, &name.parent).await?;
            self.logs()?.get_log(&name).await
        };
        let opened = opened.await;
        match opened {
            Ok(log) => Ok(Response::new(counted_out(call, log.boxed()).boxed())),
            Err(status) => {
                call.ends(status.code());
                Err(status)
            }
        }
    }

    async fn list_logs(
        &self,
        request: Request<ListRecordsRequest>,
    ) -> Result<Response<ListRecordsResponse>, Status> {
        self.unary(method("unary", "ListLogs"), request, async |caller, request: ListRecordsRequest| {
            let asked = records_of(&request.parent)?;
            self.allow(&caller, Verb::List, Resource::Logs, asked.parent_text()).await?;
            let list = List {
                parent: asked.parent_text(),
                result: asked.result_text(),
                filter: &request.filter,
                page_size: request.page_size,
                page_token: &request.page_token,
                order_by: &request.order_by,
            };
            let page = self.0.store.list_logs(&list).await.map_err(store_status)?;
            Ok(ListRecordsResponse {
                records: page.rows.into_iter().map(record_message).collect(),
                next_page_token: page.next_page_token,
            })
        })
        .await
    }

    /// One log in as many messages as its sender likes, each with its name.
    async fn update_log(&self, request: Request<Streaming<Log>>) -> Result<Response<LogSummary>, Status> {
        let mut call = self.0.metrics.begin(method("client_stream", "UpdateLog"));
        let stored = async {
            let (metadata, _, mut messages) = request.into_parts();
            let caller = self.caller(&metadata.into_headers()).await?;
            let first = next(&mut messages).await.unwrap_or_else(|| {
                Err(Status::invalid_argument(
                    "the stream holds no message; send the log's name at least once",
                ))
            })?;
            call.received();
            let name: LogName = parsed("name", &first.name)?;
            self.allow(&caller, Verb::Update, Resource::Logs, &name.parent).await?;
            let all = stream::iter([Ok(first)]).chain(counted_in(&call, messages));
            self.logs()?.update_log(&name, all.boxed()).await
        };
        let stored = stored.await;
        call.ends(code(&stored));
        if stored.is_ok() {
            call.sent();
        }
        stored.map(Response::new)
    }

    async fn delete_log(&self, request: Request<DeleteLogRequest>) -> Result<Response<()>, Status> {
        self.unary(method("unary", "DeleteLog"), request, async |caller, DeleteLogRequest { name }| {
            let name: LogName = parsed("name", &name)?;
            self.allow(&caller, Verb::Delete, Resource::Logs, &name.parent).await?;
            self.logs()?.delete_log(&name).await
        })
        .await
    }
}

impl Api {
    fn logs(&self) -> Result<&LogsService, Status> {
        let logs = self.0.logs.as_ref();
        logs.ok_or_else(|| Status::unimplemented("stored logs are switched off (LOGS_API)"))
    }
}

/// The next message, waited for no longer than [`IDLE`].
async fn next(messages: &mut Streaming<Log>) -> Option<Result<Log, Status>> {
    tokio::time::timeout(IDLE, messages.next()).await.unwrap_or_else(|_| {
        Some(Err(Status::deadline_exceeded(format!("no piece of the log came for {IDLE:?}; send it again"))))
    })
}

/// Counts what comes in.
fn counted_in(
    call: &Call,
    messages: Streaming<Log>,
) -> impl Stream<Item = Result<Log, Status>> + Send + use<> {
    let counter = call.counter_of_received();
    stream::unfold(messages, async |mut messages| {
        next(&mut messages).await.map(|message| (message, messages))
    })
    .inspect(move |message| {
        if message.is_ok() {
            counter.inc();
        }
    })
}

/// Counts what goes out, and how it ends.
fn counted_out(
    call: Call,
    pieces: BoxStream<'static, Result<Bytes, Status>>,
) -> impl Stream<Item = Result<HttpBody, Status>> + Send {
    stream::unfold((call, pieces), async |(mut call, mut pieces)| {
        let Some(piece) = pieces.next().await else {
            call.ends(tonic::Code::Ok);
            return None;
        };
        match &piece {
            Ok(_) => call.sent(),
            Err(status) => call.ends(status.code()),
        }
        let piece =
            piece.map(|data| HttpBody { content_type: TEXT.to_owned(), data, extensions: Vec::new() });
        Some((piece, (call, pieces)))
    })
}
