//! Calls of the results API, as the load makes them.
use std::net::SocketAddr;

use anyhow::Context as _;
use aws_lc_rs::digest;
use results_api::{
    client::{Settings, Token, Transport},
    v1alpha2::{
        Any, CreateRecordRequest, CreateResultRequest, GetLogRequest, GetRecordRequest, ListRecordsRequest,
        Log, Record, Result as Group, logs_client::LogsClient, results_client::ResultsClient,
    },
};

/// A caller with a connection of its own, who waits for each answer.
pub(super) struct Client {
    results: ResultsClient<Transport>,
    logs: LogsClient<Transport>,
}

/// What a list is asked for: page of the default size, 50.
#[derive(Clone, Copy, Default)]
pub(super) struct List<'a> {
    pub(super) filter: &'a str,
    pub(super) order: &'a str,
}

impl Client {
    /// Connects with the first call.
    pub(super) fn new(to: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let transport = Transport::new(Settings {
            address: format!("http://{to}"),
            ca: None,
            server_name: None,
            token: Token::Text(token.to_owned()),
        })?;
        Ok(Self { results: transport.results(), logs: transport.logs() })
    }

    pub(super) async fn create_result(&mut self, parent: &str, name: &str) -> anyhow::Result<()> {
        let result = Group { name: format!("{parent}/results/{name}"), ..Group::default() };
        let request = CreateResultRequest { parent: parent.to_owned(), result: Some(result) };
        self.results.create_result(request).await.context("CreateResult")?;
        Ok(())
    }

    /// `result` as `<namespace>/results/<name>`.
    pub(super) async fn create_record(
        &mut self,
        result: &str,
        name: &str,
        kind: &str,
        document: &[u8],
    ) -> anyhow::Result<()> {
        let data = Any { r#type: kind.to_owned(), value: document.to_vec().into() };
        let record =
            Record { name: format!("{result}/records/{name}"), data: Some(data), ..Record::default() };
        let request = CreateRecordRequest { parent: result.to_owned(), record: Some(record) };
        self.results.create_record(request).await.context("CreateRecord")?;
        Ok(())
    }

    pub(super) async fn get_record(&mut self, name: &str) -> anyhow::Result<()> {
        let request = GetRecordRequest { name: name.to_owned() };
        let record = self.results.get_record(request).await.context("GetRecord")?.into_inner();
        anyhow::ensure!(record.name == name, "GetRecord {name}: the answer is {}", record.name);
        Ok(())
    }

    /// How many records the page has, and whether there are more.
    pub(super) async fn list_records(
        &mut self,
        parent: &str,
        list: List<'_>,
    ) -> anyhow::Result<(usize, bool)> {
        let request = ListRecordsRequest {
            parent: parent.to_owned(),
            filter: list.filter.to_owned(),
            order_by: list.order.to_owned(),
            ..ListRecordsRequest::default()
        };
        let page = self.results.list_records(request).await.context("ListRecords")?.into_inner();
        Ok((page.records.len(), !page.next_page_token.is_empty()))
    }

    /// Stores a log, in messages of this piece, so often.
    pub(super) async fn update_log(&mut self, name: &str, piece: &[u8], times: usize) -> anyhow::Result<()> {
        let message = Log { name: name.to_owned(), data: piece.to_vec().into() };
        let messages = futures::stream::iter(std::iter::repeat_n(message, times));
        let stored = self.logs.update_log(messages).await.context("UpdateLog")?.into_inner();
        let sent = piece.len() * times;
        anyhow::ensure!(
            usize::try_from(stored.bytes_received) == Ok(sent),
            "UpdateLog: {} of {sent} bytes were stored",
            stored.bytes_received
        );
        Ok(())
    }

    /// Reads a log to its end: its length and SHA-256.
    pub(super) async fn get_log(&mut self, name: &str) -> anyhow::Result<(usize, digest::Digest)> {
        let request = GetLogRequest { name: name.to_owned() };
        let mut pieces = self.logs.get_log(request).await.context("GetLog")?.into_inner();
        let (mut length, mut hash) = (0, digest::Context::new(&digest::SHA256));
        while let Some(piece) = pieces.message().await.context("GetLog breaks off")? {
            hash.update(&piece.data);
            length += piece.data.len();
        }
        Ok((length, hash.finish()))
    }
}
