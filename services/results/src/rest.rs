//! The same calls over HTTP and JSON: each route makes a request of gRPC and hands it to the handler of that call.
//!
//! Errors have the body `{"code": <number of gRPC>, "message": …, "details": []}`.

mod query;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fleet::http::{Intake, Refused};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use results_api::v1alpha2::logs_server::Logs;
use results_api::v1alpha2::results_server::Results;
use results_api::v1alpha2::{
    CreateRecordRequest, CreateResultRequest, DeleteLogRequest, DeleteRecordRequest, DeleteResultRequest,
    GetLogRequest, GetRecordRequest, GetResultRequest, ListRecordsRequest, ListResultsRequest, Record,
    RecordListSummaryRequest, Result as ResultMessage, UpdateRecordRequest, UpdateResultRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use self::query::Query;
use crate::grpc::{Api, LARGEST_MESSAGE};
use crate::health::Health;

const PARENTS: &str = "/apis/results.tekton.dev/v1alpha2/parents";

/// Data is base64 in JSON: four characters for three bytes.
const LARGEST_BODY: usize = LARGEST_MESSAGE / 3 * 4;
/// All bodies together.
const BODIES: usize = 128 * 1024 * 1024;
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Rest {
    api: Api,
    intake: Intake,
}

type Answer = Result<Response, Failed>;

/// An error, on its way to the client.
pub(crate) struct Failed(Status);

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

/// All routes, and errors for what is none.
pub(crate) fn routes(api: Api, health: Health) -> Router {
    let has_logs = api.has_logs();
    let rest = Rest { api, intake: Intake::new(LARGEST_BODY, BODIES).timeout(BODY_WITHIN) };
    let path = |rest: &str| format!("{PARENTS}/{{parent}}/results{rest}");
    let mut routes = Router::new()
        .route(&path(""), get(list_results).post(create_result))
        .route(&path("/{result}"), get(get_result).patch(update_result).delete(delete_result))
        .route(&path("/{result}/records"), get(list_records).post(create_record))
        .route(&path("/{result}/records/summary"), get(summary))
        .route(
            &path("/{result}/records/{record}"),
            get(get_record).patch(update_record).delete(delete_record),
        );
    if has_logs {
        routes = routes
            .route(&path("/{result}/logs"), get(list_logs))
            .route(&path("/{result}/logs/{log}"), get(get_log).delete(delete_log));
    } else {
        let absent = || async { Failed(Status::unimplemented("stored logs are switched off (LOGS_API)")) };
        routes = routes
            .route(&path("/{result}/logs"), get(absent))
            .route(&path("/{result}/logs/{log}"), get(absent).delete(absent));
    }
    routes
        .with_state(rest)
        .merge(crate::health::routes(health))
        .fallback(async || Failed(Status::not_found("there is no such path")))
        .method_not_allowed_fallback(async || {
            Failed(Status::unimplemented("this path does not take that method"))
        })
}

async fn list_results(
    State(rest): State<Rest>,
    Path(parent): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let mut query = Query::parse(query.as_deref());
    let message = ListResultsRequest {
        parent,
        filter: query.text("filter")?,
        page_size: query.number("page_size")?,
        page_token: query.text("page_token")?,
        order_by: query.text("order_by")?,
    };
    answered(rest.api.list_results(with(headers, message)).await)
}

async fn create_result(State(rest): State<Rest>, Path(parent): Path<String>, request: Request) -> Answer {
    let (headers, result, _held) = rest.body::<ResultMessage>(request).await?;
    let message = CreateResultRequest { parent, result: Some(result) };
    answered(rest.api.create_result(with(headers, message)).await)
}

async fn get_result(
    State(rest): State<Rest>,
    Path((parent, result)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let message = GetResultRequest { name: result_name(&parent, &result) };
    answered(rest.api.get_result(with(headers, message)).await)
}

/// The name is in the path; a query parameter `name`, which the original wants too, is passed over.
async fn update_result(
    State(rest): State<Rest>,
    Path((parent, result)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let etag = Query::parse(query.as_deref()).text("etag")?;
    let name = result_name(&parent, &result);
    let (headers, result, _held) = rest.body::<ResultMessage>(request).await?;
    let message = UpdateResultRequest { name, result: Some(result), etag };
    answered(rest.api.update_result(with(headers, message)).await)
}

async fn delete_result(
    State(rest): State<Rest>,
    Path((parent, result)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let message = DeleteResultRequest { name: result_name(&parent, &result) };
    nothing(rest.api.delete_result(with(headers, message)).await)
}

async fn list_records(
    State(rest): State<Rest>,
    Path((parent, result)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let message = records_request(&parent, &result, query.as_deref())?;
    answered(rest.api.list_records(with(headers, message)).await)
}

async fn create_record(
    State(rest): State<Rest>,
    Path((parent, result)): Path<(String, String)>,
    request: Request,
) -> Answer {
    let (headers, record, _held) = rest.body::<Record>(request).await?;
    let message = CreateRecordRequest { parent: result_name(&parent, &result), record: Some(record) };
    answered(rest.api.create_record(with(headers, message)).await)
}

async fn summary(
    State(rest): State<Rest>,
    Path((parent, result)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let mut query = Query::parse(query.as_deref());
    let message = RecordListSummaryRequest {
        parent: result_name(&parent, &result),
        summary: query.text("summary")?,
        filter: query.text("filter")?,
        group_by: query.text("group_by")?,
        order_by: query.text("order_by")?,
    };
    answered(rest.api.get_record_list_summary(with(headers, message)).await)
}

async fn get_record(
    State(rest): State<Rest>,
    Path((parent, result, record)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let message = GetRecordRequest { name: record_name(&parent, &result, &record) };
    answered(rest.api.get_record(with(headers, message)).await)
}

async fn update_record(
    State(rest): State<Rest>,
    Path((parent, result, record)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let etag = Query::parse(query.as_deref()).text("etag")?;
    let name = record_name(&parent, &result, &record);
    let (headers, record, _held) = rest.body::<Record>(request).await?;
    let record = Some(Record { name, ..record });
    let message = UpdateRecordRequest { record, update_mask: None, etag };
    answered(rest.api.update_record(with(headers, message)).await)
}

async fn delete_record(
    State(rest): State<Rest>,
    Path((parent, result, record)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let message = DeleteRecordRequest { name: record_name(&parent, &result, &record) };
    nothing(rest.api.delete_record(with(headers, message)).await)
}

async fn list_logs(
    State(rest): State<Rest>,
    Path((parent, result)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let message = records_request(&parent, &result, query.as_deref())?;
    answered(rest.api.list_logs(with(headers, message)).await)
}

/// The bytes as they were stored. An error after the first of them breaks the answer off, so that nobody takes a part for
/// the whole.
async fn get_log(
    State(rest): State<Rest>,
    Path((parent, result, log)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let message = GetLogRequest { name: log_name(&parent, &result, &log) };
    let stream = rest.api.get_log(with(headers, message)).await?.into_inner();
    let body = Body::from_stream(stream.map_ok(|part| part.data).map(|part| part.map_err(Box::new)));
    Ok(([(header::CONTENT_TYPE, "text/plain"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], body)
        .into_response())
}

async fn delete_log(
    State(rest): State<Rest>,
    Path((parent, result, log)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let message = DeleteLogRequest { name: log_name(&parent, &result, &log) };
    nothing(rest.api.delete_log(with(headers, message)).await)
}

fn result_name(parent: &str, result: &str) -> String {
    format!("{parent}/results/{result}")
}

fn record_name(parent: &str, result: &str, record: &str) -> String {
    format!("{parent}/results/{result}/records/{record}")
}

fn log_name(parent: &str, result: &str, log: &str) -> String {
    format!("{parent}/results/{result}/logs/{log}")
}

fn records_request(parent: &str, result: &str, query: Option<&str>) -> Result<ListRecordsRequest, Failed> {
    let mut query = Query::parse(query);
    Ok(ListRecordsRequest {
        parent: result_name(parent, result),
        filter: query.text("filter")?,
        page_size: query.number("page_size")?,
        page_token: query.text("page_token")?,
        order_by: query.text("order_by")?,
    })
}

/// The headers are what the metadata of gRPC would be.
fn with<T>(headers: HeaderMap, message: T) -> tonic::Request<T> {
    tonic::Request::from_parts(MetadataMap::from_headers(headers), http::Extensions::new(), message)
}

fn answered<T: Serialize>(answer: Result<tonic::Response<T>, Status>) -> Answer {
    let message = answer?.into_inner();
    match serde_json::to_vec(&message) {
        Ok(text) => Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response()),
        Err(error) => {
            tracing::error!(error = %error, "An answer cannot be written as JSON");
            Err(Failed(Status::internal("the answer cannot be written as JSON")))
        }
    }
}

fn nothing(answer: Result<tonic::Response<()>, Status>) -> Answer {
    answered(answer.map(|answer| answer.map(|()| json!({}))))
}

impl Rest {
    /// Headers and body of a request. What is returned last is the room that the body takes.
    async fn body<T: DeserializeOwned + Default>(
        &self,
        request: Request,
    ) -> Result<(HeaderMap, T, fleet::http::Held), Failed> {
        let (parts, body) = request.into_parts();
        let (bytes, held) = self.intake.read(&parts.headers, body).await.map_err(unread)?;
        let message = if bytes.is_empty() { T::default() } else { decoded(&bytes)? };
        Ok((parts.headers, message, held))
    }
}

fn decoded<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Failed> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failed(Status::invalid_argument(format!("the body is not what this path takes: {error}")))
    })
}

fn unread(refused: Refused) -> Failed {
    let text = refused.to_string();
    Failed(match refused {
        Refused::TooLarge { .. } => Status::resource_exhausted(text),
        Refused::Busy => Status::unavailable(text),
        Refused::TooSlow(_) => Status::deadline_exceeded(text),
        Refused::BrokeOff => Status::invalid_argument(text),
    })
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let (code, message) = (self.0.code(), self.0.message());
        let body = json!({ "code": i32::from(code), "message": message, "details": [] }).to_string();
        let mut response = (status(code), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match code {
            Code::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Code::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}

/// Of gRPC's codes in HTTP.
fn status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::PAYLOAD_TOO_LARGE,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
