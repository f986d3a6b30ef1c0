//! The services `Results` and `Logs`. REST calls the same handlers, by the same traits (see [`crate::rest`]).
//!
//! ```text
//! call ─▶ count ─▶ who? ─▶ name well-formed? ─▶ may they, in that namespace? ─▶ Store, LogsService ─▶ message
//! ```

mod convert;
mod logs;
mod results;
#[cfg(test)]
mod tests;

pub(crate) use convert::{record_message, store_status};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use results_api::v1alpha2::logs_server::LogsServer;
use results_api::v1alpha2::results_server::ResultsServer;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tonic_web::GrpcWebLayer;
use tower::Layer as _;

use crate::auth::{Auth, Caller, Resource, Verb};
use crate::logs_service::LogsService;
use crate::metrics::{Method, Metrics};
use crate::store::Store;

pub(crate) const RESULTS: &str = "tekton.results.v1alpha2.Results";
pub(crate) const LOGS: &str = "tekton.results.v1alpha2.Logs";

/// Of one message that comes in: a Record of 4 MiB and what is around it, with room for one that is larger.
pub(crate) const LARGEST_MESSAGE: usize = 16 * 1024 * 1024;

/// For a call that is no stream. Longer than a statement of the database may take, which says better what is wrong.
const DEADLINE: Duration = Duration::from_mins(1);

/// The handlers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(Arc<Parts>);

/// What the handlers work with.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) auth: Auth,
    pub(crate) metrics: Metrics,
    /// Absent without `LOGS_API`.
    pub(crate) logs: Option<LogsService>,
    /// What a Log record says of its storage if its writer did not: `LOGS_TYPE`.
    pub(crate) logs_type: &'static str,
}

impl Api {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Whether there is a service `Logs`.
    pub(crate) fn has_logs(&self) -> bool {
        self.0.logs.is_some()
    }

    /// Both services, for gRPC and gRPC-Web.
    pub(crate) fn routes(&self) -> Routes {
        let results = ResultsServer::new(self.clone()).max_decoding_message_size(LARGEST_MESSAGE);
        let routes = Routes::new(GrpcWebLayer::new().layer(results));
        if !self.has_logs() {
            return routes;
        }
        let logs = LogsServer::new(self.clone()).max_decoding_message_size(LARGEST_MESSAGE);
        routes.add_service(GrpcWebLayer::new().layer(logs))
    }

    /// What all calls without a stream have around them: counts, caller, deadline.
    async fn unary<Q, A, F>(
        &self,
        method: Method,
        request: Request<Q>,
        handle: impl FnOnce(Caller, Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        F: Future<Output = Result<A, Status>>,
    {
        let mut call = self.0.metrics.begin(method);
        call.received();
        let (metadata, _, message) = request.into_parts();
        let headers = metadata.into_headers();
        let answer = async { handle(self.0.auth.caller(&headers).await?, message).await };
        let answer = tokio::time::timeout(DEADLINE, answer).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded("the call took too long; ask for less, or try again later"))
        });
        call.ends(code(&answer));
        if answer.is_ok() {
            call.sent();
        }
        answer.map(Response::new)
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Status> {
        self.0.auth.caller(headers).await
    }

    async fn allow(
        &self,
        caller: &Caller,
        verb: Verb,
        resource: Resource,
        namespace: &str,
    ) -> Result<(), Status> {
        self.0.auth.allow(caller, verb, resource, namespace).await
    }
}

fn code<T>(answer: &Result<T, Status>) -> Code {
    answer.as_ref().map_or_else(Status::code, |_| Code::Ok)
}
