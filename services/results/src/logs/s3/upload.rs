//! An upload in parts, which appears when it is completed and leaves nothing behind when it is not.

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CompleteMultipartUploadResponse, CreateMultipartUpload,
    UploadPart,
};

use super::super::error::Error;
use super::super::key::LogKey;
use super::S3Store;
use super::request::{self, Call};

/// S3 takes no more.
const PARTS: u16 = 10_000;
/// Of putting the parts together, where the server says so only after its header.
const COMPLETIONS: u32 = 3;

/// Parts are stored, and paid for, until they are put together or given up: dropping this gives them up.
pub(super) struct Upload {
    store: S3Store,
    key: LogKey,
    id: String,
    etags: Vec<String>,
    size: u64,
    is_over: bool,
}

impl Upload {
    pub(super) async fn begin(store: &S3Store, key: &LogKey) -> Result<Self, Error> {
        let action = CreateMultipartUpload::new(&store.0.bucket, Some(&store.0.credentials), key.as_str());
        let call = Call {
            action: "begin to store log",
            key: key.as_str(),
            method: Method::POST,
            body: Bytes::new(),
        };
        let response = store.send(&call, || store.sign(&action)).await?;
        let text = request::text(response, &call).await?;
        let answer =
            CreateMultipartUpload::parse_response(&text).map_err(|error| call.not_understood(&error))?;
        Ok(Self {
            store: store.clone(),
            key: key.clone(),
            id: answer.upload_id().to_owned(),
            etags: Vec::new(),
            size: 0,
            is_over: false,
        })
    }

    /// Bytes of the parts so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) async fn add(&mut self, part: Bytes) -> Result<(), Error> {
        let (store, key) = (&self.store, self.key.as_str());
        let number = u16::try_from(self.etags.len() + 1)
            .ok()
            .filter(|number| *number <= PARTS)
            .ok_or_else(|| Error::TooLong { key: key.to_owned(), part: store.0.part_size })?;
        let action = UploadPart::new(&store.0.bucket, Some(&store.0.credentials), key, number, &self.id);
        let length = part.len() as u64;
        let call = Call { action: "store a part of log", key, method: Method::PUT, body: part };
        let response = store.send(&call, || store.sign(&action)).await?;
        let etag = response
            .headers()
            .get(reqwest::header::ETAG)
            .and_then(|etag| etag.to_str().ok())
            .ok_or_else(|| call.not_understood(&"it has no ETag"))?;
        self.etags.push(etag.to_owned());
        self.size += length;
        Ok(())
    }

    /// Makes the object of its parts, in place of what was there.
    pub(super) async fn complete(&mut self) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            match self.try_complete().await {
                Ok(()) => break,
                // An answer that was lost may have been a yes. The object that is there is then as long as ours: nobody
                // stores other bytes of the same length for the same run.
                Err(Error::Refused { code, .. })
                    if code == "NoSuchUpload" && self.store.size(&self.key).await? == Some(self.size) =>
                {
                    break;
                }
                Err(error) if attempt < COMPLETIONS && request::passes(&error) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
        self.is_over = true;
        Ok(())
    }

    async fn try_complete(&self) -> Result<(), Error> {
        let (store, key) = (&self.store, self.key.as_str());
        let action = || {
            let etags = self.etags.iter().map(String::as_str);
            CompleteMultipartUpload::new(&store.0.bucket, Some(&store.0.credentials), key, &self.id, etags)
        };
        let body = Bytes::from(action().body());
        let call = Call { action: "put together log", key, method: Method::POST, body };
        let response = store.send(&call, || store.sign(&action())).await?;
        let document = request::text(response, &call).await?;
        if CompleteMultipartUploadResponse::parse(&document).is_ok() {
            return Ok(());
        }
        Err(request::refusal(&call, StatusCode::OK, &document))
    }

    /// Has the parts deleted. If even that fails, the bucket's rule for unfinished uploads does it.
    pub(super) async fn abort(mut self) {
        self.is_over = true;
        abort(&self.store, &self.key, &self.id).await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Whoever sent the log has hung up; there is nobody to wait.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (store, key, id) = (self.store.clone(), self.key.clone(), std::mem::take(&mut self.id));
            runtime.spawn(async move { abort(&store, &key, &id).await });
        }
    }
}

async fn abort(store: &S3Store, key: &LogKey, id: &str) {
    let action = AbortMultipartUpload::new(&store.0.bucket, Some(&store.0.credentials), key.as_str(), id);
    let call =
        Call { action: "give up storing log", key: key.as_str(), method: Method::DELETE, body: Bytes::new() };
    match store.send(&call, || store.sign(&action)).await {
        Ok(_) | Err(Error::Refused { status: 404, .. }) => {}
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "Parts of a broken upload stay in the bucket until its lifecycle rule removes them"
        ),
    }
}
