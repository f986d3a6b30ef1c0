//! Why a log was not stored, read or deleted.

use std::io;
use std::path::PathBuf;

use super::key::BadKey;

/// Why the store cannot be used at all: shown when the program starts.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("LOGS_BUFFER_SIZE is 0: give the bytes of a chunk of a log, such as 32768")]
    Chunk,
    #[error("LOGS_PATH {path}: logs cannot be written there; is the volume mounted, and may this user write to it?", path = path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{variable} is not set: LOGS_TYPE=S3 needs it")]
    Missing { variable: &'static str },
    #[error("S3_ENDPOINT {endpoint:?} is no URL: expected https://host[:port]")]
    Endpoint { endpoint: String, source: url::ParseError },
    #[error(
        "S3_ENDPOINT and S3_BUCKET_NAME make no address: {reason}; with S3_HOSTNAME_IMMUTABLE=true the bucket is not made part of the host"
    )]
    Bucket { reason: rusty_s3::BucketError },
    #[error("S3_MULTI_PART_SIZE is {size}: S3 takes parts of 5242880 (5 MiB) to 5368709120 bytes (5 GiB)")]
    PartSize { size: u64 },
    #[error("the certificate authorities of {path} cannot be used", path = path.display())]
    Authorities { path: PathBuf, source: io::Error },
    #[error("the certificate authorities of {path} are no PEM", path = path.display())]
    Pem { path: PathBuf, source: reqwest::Error },
    #[error("the client of the object store cannot be made")]
    Client(#[source] reqwest::Error),
}

/// Why a call failed. Texts name the place and never an address with a signature.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    #[error("log {key} is not stored")]
    NotFound { key: String },
    /// The sender's fault: nothing of this upload is kept.
    #[error("the upload of log {key} broke off")]
    Interrupted { key: String, source: io::Error },
    #[error("log {key} is longer than 10000 parts of {part} bytes: raise S3_MULTI_PART_SIZE")]
    TooLong { key: String, part: usize },
    #[error(transparent)]
    Key(#[from] BadKey),
    #[error("{action} {path}", path = path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{action} {key}: the object store answers {status} {code} {message}")]
    Refused { action: &'static str, key: String, status: u16, code: String, message: String },
    #[error("{action} {key}: the object store does not answer")]
    Unreachable { action: &'static str, key: String, source: reqwest::Error },
    #[error("{action} {key}: the answer of the object store cannot be understood: {reason}")]
    Answer { action: &'static str, key: String, reason: String },
}
