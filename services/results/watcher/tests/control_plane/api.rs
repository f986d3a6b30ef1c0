//! A stand-in for the results API: in memory, with etags and cascades as the real one has them, and with what may go wrong.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use results_api::HttpBody;
use results_api::log::Log as Document;
use results_api::v1alpha2::logs_server::{Logs, LogsServer};
use results_api::v1alpha2::results_server::{Results, ResultsServer};
use results_api::v1alpha2::{
    CreateRecordRequest, CreateResultRequest, DeleteLogRequest, DeleteRecordRequest, DeleteResultRequest,
    GetLogRequest, GetRecordRequest, GetResultRequest, ListRecordsRequest, ListRecordsResponse,
    ListResultsRequest, ListResultsResponse, Log, LogSummary, Record, RecordListSummary,
    RecordListSummaryRequest, Result as ApiResult, UpdateRecordRequest, UpdateResultRequest,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status, Streaming};

/// Logs that are larger are only counted.
const KEPT: usize = 1 << 20;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) results: BTreeMap<String, ApiResult>,
    pub(crate) records: BTreeMap<String, Record>,
    /// What is stored of each Log, and how many bytes that is.
    pub(crate) logs: BTreeMap<String, (Vec<u8>, usize)>,
    /// Names of the calls, in order.
    pub(crate) calls: Vec<&'static str>,
    /// Uploads that broke off.
    pub(crate) broken_off: usize,
    /// Bytes of uploads, complete or not.
    pub(crate) received: usize,
    /// Everything is answered `Unavailable`.
    pub(crate) is_away: bool,
    /// The next uploads are refused half way.
    pub(crate) refuses_uploads: usize,
    versions: u64,
}

type Shared = Arc<parking_lot::Mutex<State>>;

/// Serves until it is dropped.
pub(crate) struct PlayedApi {
    pub(crate) address: SocketAddr,
    state: Shared,
    /// How many bytes of a log are read before it pauses; `None` for all.
    gate: watch::Sender<Option<usize>>,
    server: JoinHandle<()>,
}

impl Drop for PlayedApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl PlayedApi {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let state = Shared::default();
        let gate = watch::Sender::new(None);
        let server = Server { state: Arc::clone(&state), gate: gate.subscribe() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let limit = 64 << 20;
        let results = ResultsServer::new(server.clone()).max_decoding_message_size(limit);
        let routes = tonic::service::Routes::new(results).add_service(LogsServer::new(server));
        let app = routes.into_axum_router();
        let server = tokio::spawn(async move { _ = axum::serve(listener, app).await });
        Ok(Self { address, state, gate, server })
    }

    /// Looks at it, or changes it.
    pub(crate) fn with<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock())
    }

    /// Pauses each upload after so many bytes.
    pub(crate) fn pause_after(&self, bytes: Option<usize>) {
        self.gate.send_replace(bytes);
    }

    /// The objects in the Records of a Result, by kind and name.
    pub(crate) fn objects(&self, result: &str) -> BTreeMap<String, serde_json::Value> {
        let prefix = format!("{result}/records/");
        self.with(|state| {
            let records = state.records.iter().filter(|(name, _)| name.starts_with(&prefix));
            let objects = records.map(|(_, record)| {
                let data = record.data.as_ref().expect("it has data");
                let object: serde_json::Value = serde_json::from_slice(&data.value).expect("it is JSON");
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                (format!("{} {name}", object["kind"].as_str().unwrap_or_default()), object)
            });
            objects.collect()
        })
    }

    /// A stored log as text.
    pub(crate) fn log(&self, name: &str) -> Option<String> {
        self.with(|state| state.logs.get(name).map(|(bytes, _)| String::from_utf8_lossy(bytes).into_owned()))
    }
}

#[derive(Clone)]
struct Server {
    state: Shared,
    gate: watch::Receiver<Option<usize>>,
}

impl Server {
    fn call<T>(
        &self,
        name: &'static str,
        answer: impl FnOnce(&mut State) -> Result<T, Status>,
    ) -> Result<Response<T>, Status> {
        let mut state = self.state.lock();
        state.calls.push(name);
        if state.is_away {
            return Err(Status::unavailable("the database is away"));
        }
        answer(&mut state).map(Response::new)
    }
}

impl State {
    fn etag(&mut self) -> String {
        self.versions += 1;
        format!("etag-{}", self.versions)
    }

    fn uid(&mut self) -> String {
        self.versions += 1;
        format!("00000000-0000-4000-8000-{:012}", self.versions)
    }
}

fn check(etag: &str, stored: &str) -> Result<(), Status> {
    let is_same = etag.is_empty() || etag == stored;
    if is_same { Ok(()) } else { Err(Status::failed_precondition("the etag mismatches")) }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Results for Server {
    async fn create_result(&self, request: Request<CreateResultRequest>) -> Answer<ApiResult> {
        self.call("create result", |state| {
            let mut result = request.into_inner().result.unwrap_or_default();
            if state.results.contains_key(&result.name) {
                return Err(Status::already_exists("there is one"));
            }
            (result.uid, result.etag) = (state.uid(), state.etag());
            state.results.insert(result.name.clone(), result.clone());
            Ok(result)
        })
    }

    async fn update_result(&self, request: Request<UpdateResultRequest>) -> Answer<ApiResult> {
        self.call("update result", |state| {
            let UpdateResultRequest { name, result, etag: expected } = request.into_inner();
            let etag = state.etag();
            let stored = state.results.get_mut(&name).ok_or_else(|| Status::not_found("none"))?;
            check(&expected, &stored.etag)?;
            let wanted = result.unwrap_or_default();
            (stored.annotations, stored.summary, stored.etag) = (wanted.annotations, wanted.summary, etag);
            Ok(stored.clone())
        })
    }

    async fn get_result(&self, request: Request<GetResultRequest>) -> Answer<ApiResult> {
        self.call("get result", |state| {
            let name = request.into_inner().name;
            state.results.get(&name).cloned().ok_or_else(|| Status::not_found("none"))
        })
    }

    async fn delete_result(&self, _: Request<DeleteResultRequest>) -> Answer<()> {
        Err(Status::unimplemented("not played"))
    }

    async fn list_results(&self, _: Request<ListResultsRequest>) -> Answer<ListResultsResponse> {
        Err(Status::unimplemented("not played"))
    }

    async fn create_record(&self, request: Request<CreateRecordRequest>) -> Answer<Record> {
        self.call("create record", |state| {
            let CreateRecordRequest { parent, record } = request.into_inner();
            let mut record = record.unwrap_or_default();
            if !state.results.contains_key(&parent) {
                return Err(Status::not_found("there is no such Result"));
            }
            if state.records.contains_key(&record.name) {
                return Err(Status::already_exists("there is one"));
            }
            (record.uid, record.etag) = (state.uid(), state.etag());
            state.records.insert(record.name.clone(), record.clone());
            Ok(record)
        })
    }

    async fn update_record(&self, request: Request<UpdateRecordRequest>) -> Answer<Record> {
        self.call("update record", |state| {
            let UpdateRecordRequest { record, etag: expected, .. } = request.into_inner();
            let (record, etag) = (record.unwrap_or_default(), state.etag());
            let stored = state.records.get_mut(&record.name).ok_or_else(|| Status::not_found("none"))?;
            check(&expected, &stored.etag)?;
            (stored.data, stored.etag) = (record.data, etag);
            Ok(stored.clone())
        })
    }

    async fn get_record(&self, request: Request<GetRecordRequest>) -> Answer<Record> {
        self.call("get record", |state| {
            let name = request.into_inner().name;
            state.records.get(&name).cloned().ok_or_else(|| Status::not_found("none"))
        })
    }

    async fn list_records(&self, _: Request<ListRecordsRequest>) -> Answer<ListRecordsResponse> {
        Err(Status::unimplemented("not played"))
    }

    async fn delete_record(&self, _: Request<DeleteRecordRequest>) -> Answer<()> {
        Err(Status::unimplemented("not played"))
    }

    async fn get_record_list_summary(
        &self,
        _: Request<RecordListSummaryRequest>,
    ) -> Answer<RecordListSummary> {
        Err(Status::unimplemented("not played"))
    }
}

#[tonic::async_trait]
impl Logs for Server {
    type GetLogStream = Pin<Box<dyn Stream<Item = Result<HttpBody, Status>> + Send>>;

    async fn get_log(&self, request: Request<GetLogRequest>) -> Answer<Self::GetLogStream> {
        self.call("get log", |state| {
            let stored = state.logs.get(&request.into_inner().name);
            let (bytes, _) = stored.ok_or_else(|| Status::not_found("Log doesn't exist"))?;
            // In pieces that end anywhere.
            let pieces: Vec<_> = bytes.chunks(7).map(<[u8]>::to_vec).collect();
            let bodies =
                pieces.into_iter().map(|piece| Ok(HttpBody { data: piece.into(), ..HttpBody::default() }));
            Ok(Box::pin(futures::stream::iter(bodies)) as Self::GetLogStream)
        })
    }

    async fn update_log(&self, request: Request<Streaming<Log>>) -> Answer<LogSummary> {
        self.call("update log", |_| Ok(()))?;
        let (mut name, mut kept, mut count) = (String::new(), Vec::new(), 0);
        let (mut messages, mut gate) = (request.into_inner(), self.gate.clone());
        loop {
            let _ = gate.wait_for(|limit| limit.is_none_or(|limit| count < limit)).await;
            match messages.message().await {
                Ok(Some(log)) => {
                    name = log.name;
                    count += log.data.len();
                    if kept.len() < KEPT {
                        kept.extend_from_slice(&log.data);
                    }
                    let mut state = self.state.lock();
                    state.received += log.data.len();
                    if state.refuses_uploads > 0 {
                        state.refuses_uploads -= 1;
                        return Err(Status::internal("the store of logs is away"));
                    }
                }
                Ok(None) => break,
                Err(status) => {
                    self.state.lock().broken_off += 1;
                    return Err(status);
                }
            }
        }
        let mut state = self.state.lock();
        let record = name.replace("/logs/", "/records/");
        let stored = state.records.get_mut(&record).ok_or_else(|| Status::not_found("no such Log"))?;
        let data = stored.data.as_mut().expect("it has data");
        let mut document = Document::from_json(&data.value).expect("it is a Log");
        let size = i64::try_from(count).unwrap_or(i64::MAX);
        document.status.size = size;
        data.value = document.to_json().into();
        state.logs.insert(name, (kept, count));
        Ok(Response::new(LogSummary { record, bytes_received: size }))
    }

    async fn list_logs(&self, _: Request<ListRecordsRequest>) -> Answer<ListRecordsResponse> {
        Err(Status::unimplemented("not played"))
    }

    async fn delete_log(&self, _: Request<DeleteLogRequest>) -> Answer<()> {
        Err(Status::unimplemented("not played"))
    }
}
