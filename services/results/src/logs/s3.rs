//! Logs as objects of a bucket that speaks S3. Requests are signed in their URL, which therefore never gets into an error or a log.

mod request;
mod upload;

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fleet::Clock;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use reqwest::{Certificate, Client, Method, StatusCode};
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use url::Url;

use self::request::Call;
use self::upload::Upload;
use super::chunks::take;
use super::error::{Error, StartError};
use super::key::LogKey;
use super::options::S3Options;

/// Smaller parts are refused by S3, larger ones too.
const PART_SIZES: std::ops::RangeInclusive<u64> = 5 << 20..=5 << 30;
const CONNECT: Duration = Duration::from_secs(5);
/// Without a byte in either direction. Putting a large object together takes servers a while.
const SILENCE: Duration = Duration::from_mins(1);
/// Deletions of a Result's logs under way at once.
const DELETIONS: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct S3Store(Arc<Inner>);

struct Inner {
    http: Client,
    bucket: Bucket,
    credentials: Credentials,
    part_size: usize,
    clock: Clock,
}

impl S3Store {
    pub(super) fn new(options: &S3Options, clock: Clock) -> Result<Self, StartError> {
        let needed = |variable, value: &str| match value {
            "" => Err(StartError::Missing { variable }),
            value => Ok(value.to_owned()),
        };
        let name = needed("S3_BUCKET_NAME", &options.bucket)?;
        let region = needed("S3_REGION", &options.region)?;
        let key = needed("S3_ACCESS_KEY_ID", &options.access_key_id)?;
        let secret = needed("S3_SECRET_ACCESS_KEY", options.secret_access_key.expose())?;
        let part_size = usize::try_from(options.part_size)
            .ok()
            .filter(|_| PART_SIZES.contains(&options.part_size))
            .ok_or(StartError::PartSize { size: options.part_size })?;
        let endpoint = match options.endpoint.as_str() {
            "" => format!("https://s3.{region}.amazonaws.com"),
            endpoint => endpoint.to_owned(),
        };
        let url: Url =
            endpoint.parse().map_err(|source| StartError::Endpoint { endpoint: endpoint.clone(), source })?;
        if url.scheme() == "http" {
            tracing::warn!(%endpoint, "S3_ENDPOINT is not encrypted: everybody on the way can read logs");
        }
        let style = if options.hostname_immutable { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = Bucket::new(url, style, name, region).map_err(|reason| StartError::Bucket { reason })?;
        let credentials = Credentials::new(key, secret);
        Ok(Self(Arc::new(Inner { http: client(options)?, bucket, credentials, part_size, clock })))
    }

    pub(super) async fn put(
        &self,
        key: &LogKey,
        bytes: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<u64, Error> {
        // Asked once more after a last part that is short.
        let bytes = pin!(bytes.fuse());
        let mut bytes: Pin<&mut (dyn Stream<Item = io::Result<Bytes>> + Send)> = bytes;
        let mut rest = Bytes::new();
        let mut next = async || {
            let part = take(bytes.as_mut(), &mut rest, self.0.part_size).await;
            part.map_err(|source| Error::Interrupted { key: key.to_string(), source })
        };
        let first = next().await?.unwrap_or_default();
        if first.len() < self.0.part_size {
            let size = first.len() as u64;
            self.put_whole(key, first).await?;
            return Ok(size);
        }
        let mut upload = Upload::begin(self, key).await?;
        let parts = async {
            upload.add(first).await?;
            while let Some(part) = next().await? {
                upload.add(part).await?;
            }
            upload.complete().await
        };
        match parts.await {
            Ok(()) => Ok(upload.size()),
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    async fn put_whole(&self, key: &LogKey, bytes: Bytes) -> Result<(), Error> {
        let action = self.0.bucket.put_object(Some(&self.0.credentials), key.as_str());
        let call = Call { action: "store log", key: key.as_str(), method: Method::PUT, body: bytes };
        self.send(&call, || self.sign(&action)).await.map(drop)
    }

    pub(super) async fn get(
        &self,
        key: &LogKey,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + 'static + use<>, Error> {
        const ACTION: &str = "read log";
        let action = self.0.bucket.get_object(Some(&self.0.credentials), key.as_str());
        let call = Call { action: ACTION, key: key.as_str(), method: Method::GET, body: Bytes::new() };
        let response = self.send(&call, || self.sign(&action)).await.map_err(|error| match error {
            // A missing bucket is a fault of the setting, not of the log.
            Error::Refused { status: 404, code, .. } if code != "NoSuchBucket" => {
                Error::NotFound { key: key.to_string() }
            }
            error => error,
        })?;
        Ok(stream::try_unfold((response, key.to_string()), |(mut response, key)| async move {
            match response.chunk().await {
                Ok(chunk) => Ok(chunk.map(|chunk| (chunk, (response, key)))),
                Err(error) => Err(Error::Unreachable { action: ACTION, key, source: error.without_url() }),
            }
        }))
    }

    /// S3 answers the same whether the object was there or not; others say 404.
    pub(super) async fn delete(&self, key: &LogKey) -> Result<(), Error> {
        self.delete_object(key.as_str()).await
    }

    pub(super) async fn delete_folder(&self, folder: &str) -> Result<(), Error> {
        // From the start each time: what a page listed is gone before the next is asked for.
        loop {
            let keys = self.list(folder).await?;
            if keys.is_empty() {
                return Ok(());
            }
            // Each owns what it needs: borrowed from here, the whole would not be `Send`.
            let deletions = keys.into_iter().map(|key| {
                let store = self.clone();
                async move { store.delete_object(&key).await }
            });
            stream::iter(deletions).buffer_unordered(DELETIONS).try_collect::<()>().await?;
        }
    }

    async fn delete_object(&self, key: &str) -> Result<(), Error> {
        let action = self.0.bucket.delete_object(Some(&self.0.credentials), key);
        let call = Call { action: "delete log", key, method: Method::DELETE, body: Bytes::new() };
        match self.send(&call, || self.sign(&action)).await {
            Err(Error::Refused { status: 404, code, .. }) if code != "NoSuchBucket" => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Some of the keys that begin with `folder`: a thousand, unless there are fewer.
    async fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let mut action = self.0.bucket.list_objects_v2(Some(&self.0.credentials));
        action.with_prefix(folder);
        let call = Call { action: "list logs below", key: folder, method: Method::GET, body: Bytes::new() };
        let response = self.send(&call, || self.sign(&action)).await?;
        let page = request::text(response, &call).await?;
        let page = ListObjectsV2::parse_response(&page).map_err(|error| call.not_understood(&error))?;
        Ok(page.contents.into_iter().map(|object| object.key).filter(|key| key.starts_with(folder)).collect())
    }

    /// Length of the object, if it is there.
    async fn size(&self, key: &LogKey) -> Result<Option<u64>, Error> {
        let action = self.0.bucket.head_object(Some(&self.0.credentials), key.as_str());
        let call =
            Call { action: "look for log", key: key.as_str(), method: Method::HEAD, body: Bytes::new() };
        match self.send(&call, || self.sign(&action)).await {
            Ok(response) => {
                let length = response.headers().get(reqwest::header::CONTENT_LENGTH);
                Ok(length.and_then(|length| length.to_str().ok()?.parse().ok()))
            }
            Err(Error::Refused { status, .. }) if status == StatusCode::NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3").field("bucket", &self.bucket.base_url().as_str()).finish_non_exhaustive()
    }
}

fn client(options: &S3Options) -> Result<Client, StartError> {
    let mut authorities = Vec::new();
    if let Some(path) = &options.ca_bundle {
        let pem =
            std::fs::read(path).map_err(|source| StartError::Authorities { path: path.clone(), source })?;
        authorities = Certificate::from_pem_bundle(&pem)
            .map_err(|source| StartError::Pem { path: path.clone(), source })?;
    }
    Client::builder()
        // The bytes are the log's, whatever a server says of them.
        .no_gzip()
        // A signature holds for one address, and proxies of the environment are for the internet.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .tls_certs_merge(authorities)
        .build()
        .map_err(StartError::Client)
}

impl S3Store {
    fn sign<'a>(&self, action: &impl S3Action<'a>) -> Url {
        action.sign_with_time(request::SIGNED_FOR, &self.0.clock.now())
    }
}
