//! What an operator sets (spec 7).

use std::path::PathBuf;
use std::str::FromStr;

use fleet::Secret;

/// `LOGS_TYPE`: what keeps logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
pub enum Kind {
    /// Files below `LOGS_PATH`.
    File,
    /// Objects of the bucket `S3_BUCKET_NAME`.
    S3,
}

/// A `LOGS_TYPE` that is none, or none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownKind {
    #[error(
        "GCS is not supported: use S3 with a key for interoperability (S3_ENDPOINT=https://storage.googleapis.com, \
         S3_HOSTNAME_IMMUTABLE=true, S3_REGION=auto)"
    )]
    Gcs,
    #[error("{0:?} is none of File and S3")]
    Other(String),
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        match text {
            "File" => Ok(Self::File),
            "S3" => Ok(Self::S3),
            "GCS" => Err(UnknownKind::Gcs),
            other => Err(UnknownKind::Other(other.to_owned())),
        }
    }
}

/// All of the store's settings; those of the other kind are not looked at.
#[derive(Clone, Debug)]
pub struct Options {
    pub kind: Kind,
    /// `LOGS_BUFFER_SIZE`: bytes per chunk of a log that is read.
    pub chunk: usize,
    /// `LOGS_PATH`.
    pub folder: PathBuf,
    pub s3: S3Options,
}

/// Empty texts count as not set.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// `S3_BUCKET_NAME`: it exists.
    pub bucket: String,
    /// `S3_ENDPOINT`: `https://host[:port]`; that of AWS in the region if empty.
    pub endpoint: String,
    /// `S3_HOSTNAME_IMMUTABLE`: the bucket is the first part of the path, not of the host.
    pub hostname_immutable: bool,
    /// `S3_REGION`.
    pub region: String,
    /// `S3_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `S3_SECRET_ACCESS_KEY`.
    pub secret_access_key: Secret<String>,
    /// `S3_MULTI_PART_SIZE`, in bytes: a log that is longer is sent in parts of this size, one at a time.
    pub part_size: u64,
    /// PEM of authorities that the endpoint is believed by, beside the platform's.
    pub ca_bundle: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_spelled_as_in_records() {
        for kind in [Kind::File, Kind::S3] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
    }

    #[test]
    fn says_what_to_do_instead_of_gcs() {
        let error = "GCS".parse::<Kind>().unwrap_err().to_string();
        assert!(error.contains("not supported") && error.contains("S3_ENDPOINT"), "{error}");
        assert!("Loki".parse::<Kind>().unwrap_err().to_string().contains("\"Loki\" is none of File and S3"));
    }
}
