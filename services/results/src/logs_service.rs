//! The calls of the service `Logs` (spec 2.2, 2.7), between the database and the [`LogStore`]. Whoever calls has authorised.
//!
//! ```text
//! name ─▶ Log record of the same parent and Result ─▶ key of its uids ─▶ bytes
//!                                                  └▶ else status.path, if below the parent: of an older server
//! ```
//! A record found by another name than its own is found by `spec.resource.uid` within one parent and Result, never beyond.

mod error;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use results_api::log::Log as LogData;
use results_api::names::{ListParent, LogName};
use results_api::v1alpha2::{ListRecordsRequest, ListRecordsResponse, Log, LogSummary};
use tonic::Status;

pub use self::error::Error;
use crate::grpc::{record_message, store_status};
use crate::logs::{self, LogKey, LogStore};
use crate::store::{self, RecordRow, RecordUpdate, Store};

/// Conflicts with others who change the record while we write its size, until we give up.
const UPDATES: u32 = 10;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogsService {
    store: Store,
    logs: LogStore,
}

impl LogsService {
    pub fn new(store: Store, logs: LogStore) -> Self {
        Self { store, logs }
    }

    /// What a Log record's `spec.type` is when its writer leaves it empty: `File` or `S3`.
    pub fn kind(&self) -> &'static str {
        self.logs.kind().into()
    }

    /// The log's bytes exactly as they were sent, in chunks. The name may be the run's, too.
    pub async fn get_log(&self, name: &LogName) -> Result<BoxStream<'static, Result<Bytes, Status>>, Status> {
        Ok(self.find_and_read(name).await?)
    }

    /// Stores a log whose record exists, in place of what was stored, and writes the size into the record. Every message
    /// has to carry the name, the first included; a stream that fails changes nothing.
    pub async fn update_log(
        &self,
        name: &LogName,
        messages: impl Stream<Item = Result<Log, Status>> + Send,
    ) -> Result<LogSummary, Status> {
        Ok(self.store_log(name, messages).await?)
    }

    /// The Log records of a Result, or of all: what a list of records gives, but for logs only.
    pub async fn list_logs(&self, request: ListRecordsRequest) -> Result<ListRecordsResponse, Status> {
        let parent = ListParent::of_records(&request.parent)
            .map_err(|error| Status::invalid_argument(format!("parent: {error}")))?;
        let list = store::List {
            parent: parent.parent_text(),
            result: parent.result_text(),
            filter: &request.filter,
            page_size: request.page_size,
            page_token: &request.page_token,
            order_by: &request.order_by,
        };
        let page = self.store.list_logs(&list).await.map_err(store_status)?;
        Ok(ListRecordsResponse {
            records: page.rows.into_iter().map(record_message).collect(),
            next_page_token: page.next_page_token,
        })
    }

    /// Deletes the bytes, then the record. The name may be the run's, too.
    pub async fn delete_log(&self, name: &LogName) -> Result<(), Status> {
        Ok(self.delete(name).await?)
    }

    /// Deletes the bytes of all logs of a Result, which is to be deleted next; their records go with it.
    pub async fn delete_result(&self, parent: &str, result: &str) -> Result<(), Status> {
        Ok(self.delete_all(parent, result).await?)
    }

    async fn find_and_read(
        &self,
        name: &LogName,
    ) -> Result<BoxStream<'static, Result<Bytes, Status>>, Error> {
        let record = self.find(name).await?;
        let data = data(&record)?;
        if data.status.size == 0 {
            return Err(Error::Empty { name: name.to_string() });
        }
        let bytes = match (self.logs.get(&key(&record)?).await, written_down(&record, &data)) {
            (Err(logs::Error::NotFound { .. }), Some(old)) => self.logs.get(&old).await,
            (answer, _) => answer,
        };
        let bytes = bytes.map_err(|error| match error {
            logs::Error::NotFound { .. } => Error::Empty { name: name.to_string() },
            error => Error::Storage(error),
        })?;
        Ok(Box::pin(bytes.map_err(|error| Error::Storage(error).into())))
    }

    async fn store_log(
        &self,
        name: &LogName,
        messages: impl Stream<Item = Result<Log, Status>> + Send,
    ) -> Result<LogSummary, Error> {
        let record = self.find(name).await?;
        // Before anything is sent: a record that is none can take no size.
        let old = written_down(&record, &data(&record)?);
        let key = key(&record)?;
        let wanted = name.to_string();
        // The store knows errors of I/O only; what the client did, or its connection, is told to it as it was.
        let mut refused = None;
        let bytes = messages.map(|message| match message {
            Ok(log) if log.name == wanted => Ok(log.data),
            Ok(log) => {
                refused = Some(Error::Names { wanted: wanted.clone(), other: log.name });
                Err(std::io::Error::other("another log's name"))
            }
            Err(status) => {
                refused = Some(Error::Stream(status));
                Err(std::io::Error::other("the stream of messages failed"))
            }
        });
        let stored = self.logs.put(&key, bytes).await;
        if let Some(error) = refused {
            return Err(error);
        }
        let size = stored?;
        self.write_down(record, &key, size).await?;
        if let Some(old) = old {
            self.logs.delete(&old).await?;
        }
        Ok(LogSummary { record: wanted, bytes_received: length(size) })
    }

    /// Writes place and size into the record, whatever else changes it meanwhile.
    async fn write_down(&self, record: RecordRow, key: &LogKey, size: u64) -> Result<(), Error> {
        let (parent, result, name) = (record.parent.clone(), record.result.clone(), record.name.clone());
        let mut record = record;
        for _ in 0..UPDATES {
            let mut data = data(&record)?;
            key.as_str().clone_into(&mut data.status.path);
            data.status.size = length(size);
            self.kind().clone_into(&mut data.spec.storage);
            if data.status.is_stored.is_some() {
                data.status.is_stored = Some(true);
                data.status.error_on_store_msg = None;
                data.status.is_retryable_err = None;
            }
            let update = RecordUpdate { kind: None, data: Some(data.to_json().into()) };
            match self.store.update_record(&parent, &result, &name, update, &record.etag).await {
                Ok(_) => return Ok(()),
                Err(store::Error::EtagMismatch { .. }) => {
                    record = self.store.get_record(&parent, &result, &name).await?;
                }
                Err(error) => {
                    // Deleted meanwhile: nobody would ever find these bytes.
                    if matches!(error, store::Error::NotFound { .. }) {
                        self.logs.delete(key).await?;
                    }
                    return Err(error.into());
                }
            }
        }
        Err(Error::Busy { name: format!("{parent}/results/{result}/logs/{name}") })
    }

    async fn delete(&self, name: &LogName) -> Result<(), Error> {
        let record = self.find(name).await?;
        self.delete_bytes(&record).await?;
        self.store.delete_record(&record.parent, &record.result, &record.name).await?;
        Ok(())
    }

    async fn delete_all(&self, parent: &str, result: &str) -> Result<(), Error> {
        let found = self.store.get_result(parent, result).await?;
        let mut page_token = String::new();
        loop {
            let list = store::List {
                parent,
                result,
                page_token: &page_token,
                page_size: 1000,
                ..store::List::default()
            };
            let page = self.store.list_logs(&list).await?;
            for record in &page.rows {
                // Only those that lie elsewhere one by one.
                if let Some(old) = data(record).ok().and_then(|data| written_down(record, &data)) {
                    self.logs.delete(&old).await?;
                }
            }
            if page.next_page_token.is_empty() {
                break;
            }
            page_token = page.next_page_token;
        }
        self.logs.delete_result(parent, &found.uid).await?;
        Ok(())
    }

    async fn delete_bytes(&self, record: &RecordRow) -> Result<(), Error> {
        self.logs.delete(&key(record)?).await?;
        // Also of a record whose data is no Log's any more: it has to be deletable.
        if let Some(old) = data(record).ok().and_then(|data| written_down(record, &data)) {
            self.logs.delete(&old).await?;
        }
        Ok(())
    }

    async fn find(&self, name: &LogName) -> Result<RecordRow, Error> {
        Ok(self.store.find_log(&name.parent, &name.result, &name.log).await?)
    }
}

/// Where we put the log of this record.
fn key(record: &RecordRow) -> Result<LogKey, Error> {
    Ok(LogKey::new(&record.parent, &record.result_uid, &record.uid).map_err(logs::Error::from)?)
}

/// Where an older server put the log of this record: at `<parent>/<name of the record>/…`, as its own rule was. Whatever else
/// `status.path` says is the word of a client.
fn written_down(record: &RecordRow, data: &LogData) -> Option<LogKey> {
    let old = LogKey::written_down(&record.parent, &data.status.path)?;
    let is_its_own = old.as_str().split('/').nth(1) == Some(record.name.as_str());
    is_its_own.then_some(old)
}

fn data(record: &RecordRow) -> Result<LogData, Error> {
    LogData::from_json(&record.data).map_err(|error| Error::NoLog {
        name: format!("{}/results/{}/records/{}", record.parent, record.result, record.name),
        reason: error.to_string(),
    })
}

fn length(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;

    use super::*;

    fn record() -> RecordRow {
        RecordRow {
            parent: "team-a".into(),
            result: "build".into(),
            result_uid: "r-uid".into(),
            name: "log-1".into(),
            uid: "c-uid".into(),
            kind: "results.tekton.dev/v1alpha2.Log".into(),
            data: Bytes::new(),
            create_time: Timestamp::UNIX_EPOCH,
            update_time: Timestamp::UNIX_EPOCH,
            etag: String::new(),
        }
    }

    #[test]
    fn the_place_is_made_of_uids_alone() {
        assert_eq!(key(&record()).unwrap().as_str(), "team-a/r-uid/c-uid");
    }

    #[rstest]
    #[case::older_server("team-a/log-1/build-log", true)]
    #[case::another_record_of_the_parent("team-a/log-2/build-log", false)]
    #[case::where_we_put_another("team-a/r-uid/c-uid", false)]
    #[case::another_parent("team-b/log-1/build-log", false)]
    #[case::up("team-a/log-1/../../team-b/x", false)]
    #[case::nothing("", false)]
    fn follows_only_the_record_s_own_old_place(#[case] path: &str, #[case] is_followed: bool) {
        let mut data = LogData::default();
        path.clone_into(&mut data.status.path);
        assert_eq!(written_down(&record(), &data).is_some(), is_followed);
    }
}
