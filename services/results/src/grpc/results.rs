//! The service `Results`.

use results_api::names::{ListParent, Parent, RecordName, ResultName};
use results_api::v1alpha2::results_server::Results;
use results_api::v1alpha2::{
    CreateRecordRequest, CreateResultRequest, DeleteRecordRequest, DeleteResultRequest, GetRecordRequest,
    GetResultRequest, ListRecordsRequest, ListRecordsResponse, ListResultsRequest, ListResultsResponse,
    Record, RecordListSummary, RecordListSummaryRequest, Result as ResultMessage, UpdateRecordRequest,
    UpdateResultRequest,
};
use tonic::{Request, Response, Status, async_trait};

use super::convert::{document, record_message, result_message, store_status, summary};
use super::{Api, RESULTS};
use crate::auth::{Resource, Verb};
use crate::metrics::Method;
use crate::store::{List, NewRecord, NewResult, RecordUpdate, Summarise};

const fn method(name: &'static str) -> Method {
    Method { kind: "unary", service: RESULTS, name }
}

#[async_trait]
impl Results for Api {
    async fn create_result(
        &self,
        request: Request<CreateResultRequest>,
    ) -> Result<Response<ResultMessage>, Status> {
        self.unary(method("CreateResult"), request, async |caller, CreateResultRequest { parent, result }| {
            let parent: Parent = parsed("parent", &parent)?;
            let result = given("result", result)?;
            let name: ResultName = parsed("result.name", &result.name)?;
            belongs("result.name", &name.to_string(), &name.parent, parent.as_str())?;
            self.allow(&caller, Verb::Create, Resource::Results, &name.parent).await?;
            let new = NewResult {
                summary: summary(result.summary)?,
                annotations: result.annotations,
                parent: name.parent,
                name: name.result,
            };
            self.0.store.create_result(new).await.map(result_message).map_err(store_status)
        })
        .await
    }

    async fn update_result(
        &self,
        request: Request<UpdateResultRequest>,
    ) -> Result<Response<ResultMessage>, Status> {
        self.unary(method("UpdateResult"), request, async |caller, request| {
            let UpdateResultRequest { name, result, etag } = request;
            let result = given("result", result)?;
            // Callers that speak gRPC may name it once, in either place.
            let name = if name.is_empty() { &result.name } else { &name };
            let name: ResultName = parsed("name", name)?;
            self.allow(&caller, Verb::Update, Resource::Results, &name.parent).await?;
            let summary = summary(result.summary)?;
            let updated = self.0.store.update_result(
                &name.parent,
                &name.result,
                &result.annotations,
                summary.as_ref(),
                &etag,
            );
            updated.await.map(result_message).map_err(store_status)
        })
        .await
    }

    async fn get_result(
        &self,
        request: Request<GetResultRequest>,
    ) -> Result<Response<ResultMessage>, Status> {
        self.unary(method("GetResult"), request, async |caller, GetResultRequest { name }| {
            let name: ResultName = parsed("name", &name)?;
            self.allow(&caller, Verb::Get, Resource::Results, &name.parent).await?;
            let row = self.0.store.get_result(&name.parent, &name.result).await;
            row.map(result_message).map_err(store_status)
        })
        .await
    }

    async fn delete_result(&self, request: Request<DeleteResultRequest>) -> Result<Response<()>, Status> {
        self.unary(method("DeleteResult"), request, async |caller, DeleteResultRequest { name }| {
            let name: ResultName = parsed("name", &name)?;
            self.allow(&caller, Verb::Delete, Resource::Results, &name.parent).await?;
            if let Some(logs) = &self.0.logs {
                // Before the rows: without them nobody would find the logs again.
                logs.delete_result(&name.parent, &name.result).await?;
            }
            self.0.store.delete_result(&name.parent, &name.result).await.map_err(store_status)
        })
        .await
    }

    async fn list_results(
        &self,
        request: Request<ListResultsRequest>,
    ) -> Result<Response<ListResultsResponse>, Status> {
        self.unary(method("ListResults"), request, async |caller, request| {
            let asked = ListParent::of_results(&request.parent).map_err(|error| named("parent", &error))?;
            let parent = asked.parent_text();
            self.allow(&caller, Verb::List, Resource::Results, parent).await?;
            let list = List {
                parent,
                result: asked.result_text(),
                filter: &request.filter,
                page_size: request.page_size,
                page_token: &request.page_token,
                order_by: &request.order_by,
            };
            let page = self.0.store.list_results(&list).await.map_err(store_status)?;
            Ok(ListResultsResponse {
                results: page.rows.into_iter().map(result_message).collect(),
                next_page_token: page.next_page_token,
            })
        })
        .await
    }

    async fn create_record(&self, request: Request<CreateRecordRequest>) -> Result<Response<Record>, Status> {
        self.unary(method("CreateRecord"), request, async |caller, CreateRecordRequest { parent, record }| {
            let parent: ResultName = parsed("parent", &parent)?;
            let record = given("record", record)?;
            let name: RecordName = parsed("record.name", &record.name)?;
            let of = format!("{}/results/{}", name.parent, name.result);
            belongs("record.name", &name.to_string(), &of, &parent.to_string())?;
            self.allow(&caller, Verb::Create, Resource::Records, &name.parent).await?;
            let data = record.data.unwrap_or_default();
            let new = NewRecord {
                data: document(&data.r#type, data.value, self.0.logs_type)?,
                kind: data.r#type,
                parent: name.parent,
                result: name.result,
                name: name.record,
            };
            self.0.store.create_record(new).await.map(record_message).map_err(store_status)
        })
        .await
    }

    async fn update_record(&self, request: Request<UpdateRecordRequest>) -> Result<Response<Record>, Status> {
        self.unary(method("UpdateRecord"), request, async |caller, request| {
            let record = given("record", request.record)?;
            let name: RecordName = parsed("record.name", &record.name)?;
            self.allow(&caller, Verb::Update, Resource::Records, &name.parent).await?;
            let update = self.update_of(&name, record).await?;
            let updated =
                self.0.store.update_record(&name.parent, &name.result, &name.record, update, &request.etag);
            updated.await.map(record_message).map_err(store_status)
        })
        .await
    }

    async fn get_record(&self, request: Request<GetRecordRequest>) -> Result<Response<Record>, Status> {
        self.unary(method("GetRecord"), request, async |caller, GetRecordRequest { name }| {
            let name: RecordName = parsed("name", &name)?;
            self.allow(&caller, Verb::Get, Resource::Records, &name.parent).await?;
            let row = self.0.store.get_record(&name.parent, &name.result, &name.record).await;
            row.map(record_message).map_err(store_status)
        })
        .await
    }

    async fn delete_record(&self, request: Request<DeleteRecordRequest>) -> Result<Response<()>, Status> {
        self.unary(method("DeleteRecord"), request, async |caller, DeleteRecordRequest { name }| {
            let name: RecordName = parsed("name", &name)?;
            self.allow(&caller, Verb::Delete, Resource::Records, &name.parent).await?;
            let deleted = self.0.store.delete_record(&name.parent, &name.result, &name.record).await;
            deleted.map_err(store_status)
        })
        .await
    }

    async fn list_records(
        &self,
        request: Request<ListRecordsRequest>,
    ) -> Result<Response<ListRecordsResponse>, Status> {
        self.unary(method("ListRecords"), request, async |caller, request| {
            let asked = records_of(&request.parent)?;
            self.allow(&caller, Verb::List, Resource::Records, asked.parent_text()).await?;
            let list = List {
                parent: asked.parent_text(),
                result: asked.result_text(),
                filter: &request.filter,
                page_size: request.page_size,
                page_token: &request.page_token,
                order_by: &request.order_by,
            };
            let page = self.0.store.list_records(&list).await.map_err(store_status)?;
            Ok(ListRecordsResponse {
                records: page.rows.into_iter().map(record_message).collect(),
                next_page_token: page.next_page_token,
            })
        })
        .await
    }

    async fn get_record_list_summary(
        &self,
        request: Request<RecordListSummaryRequest>,
    ) -> Result<Response<RecordListSummary>, Status> {
        self.unary(method("GetRecordListSummary"), request, async |caller, request| {
            let asked = records_of(&request.parent)?;
            self.allow(&caller, Verb::List, Resource::Records, asked.parent_text()).await?;
            let summarise = Summarise {
                parent: asked.parent_text(),
                result: asked.result_text(),
                summary: &request.summary,
                filter: &request.filter,
                group_by: &request.group_by,
                order_by: &request.order_by,
            };
            let groups = self.0.store.summarise(&summarise).await.map_err(store_status)?;
            Ok(RecordListSummary { summary: groups.iter().map(results_api::structure).collect() })
        })
        .await
    }
}

impl Api {
    /// What an update puts in place of what is stored: what is given.
    async fn update_of(&self, name: &RecordName, record: Record) -> Result<RecordUpdate, Status> {
        let data = record.data.unwrap_or_default();
        let kind = Some(data.r#type).filter(|kind| !kind.is_empty());
        if data.value.is_empty() {
            return Ok(RecordUpdate { kind, data: None });
        }
        let stored = if let Some(kind) = &kind {
            kind.clone()
        } else {
            // What has to be a Log is said by the row.
            let row = self.0.store.get_record(&name.parent, &name.result, &name.record).await;
            row.map_err(store_status)?.kind
        };
        Ok(RecordUpdate { data: Some(document(&stored, data.value, self.0.logs_type)?), kind })
    }
}

/// A name, or what is wrong with it.
pub(super) fn parsed<N>(field: &str, text: &str) -> Result<N, Status>
where
    N: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error| named(field, &error))
}

/// What a list of Records or logs is of; namespace and Result may each be `-`.
pub(super) fn records_of(parent: &str) -> Result<ListParent, Status> {
    ListParent::of_records(parent).map_err(|error| named("parent", &error))
}

fn named(field: &str, error: &dyn std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{field}: {error}"))
}

fn given<T>(field: &str, message: Option<T>) -> Result<T, Status> {
    message.ok_or_else(|| Status::invalid_argument(format!("{field}: missing; send it")))
}

fn belongs(field: &str, name: &str, of: &str, parent: &str) -> Result<(), Status> {
    if of == parent {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "{field}: `{name}` is not in the parent `{parent}`; make them agree"
    )))
}
