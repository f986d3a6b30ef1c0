//! The log's promise, as a layer's annotation `dev.sigstore.cosign/bundle` has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::roots::LogKey;

/// Larger is no entry: the log itself takes no more.
const MAX_BUNDLE: usize = 32 * 1024 * 1024;

/// An entry and the log's signature over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bundle {
    /// Base64 of the signature over the canonical JSON of the payload.
    #[serde(rename = "SignedEntryTimestamp")]
    pub(crate) signed_entry_timestamp: String,
    #[serde(rename = "Payload")]
    pub(crate) payload: Payload,
}

/// Members in the order of canonical JSON (RFC 8785): so it serializes into what the log has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// Base64 of the entry.
    pub(crate) body: String,
    /// Seconds since 1970.
    #[serde(rename = "integratedTime")]
    pub(crate) integrated_time: i64,
    /// SHA-256 of the log's key, in hexadecimal digits.
    #[serde(rename = "logID")]
    pub(crate) log_id: String,
    #[serde(rename = "logIndex")]
    pub(crate) log_index: i64,
}

impl Payload {
    pub(crate) fn body(&self) -> Result<Vec<u8>, String> {
        BASE64.decode(&self.body).map_err(|_| "the log's entry has a body that is no base64".to_owned())
    }
}

impl Bundle {
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        if json.len() > MAX_BUNDLE {
            return Err(format!("its log bundle is larger than {MAX_BUNDLE} bytes"));
        }
        serde_json::from_str(json).map_err(|error| format!("its log bundle cannot be read: {error}"))
    }

    /// When the log took the entry in, if one of these logs has signed that it did.
    pub(crate) fn check(&self, keys: &[LogKey]) -> Result<Timestamp, String> {
        let at = Timestamp::from_second(self.payload.integrated_time)
            .map_err(|_| "the log's entry has an impossible time".to_owned())?;
        let named = |key: &&LogKey| data_encoding::HEXLOWER.encode(&key.id) == self.payload.log_id;
        let Some(log) = keys.iter().find(|key| named(key) && key.window.permits(at)) else {
            return Err(format!(
                "its log entry is by a log that is not known, or not at {at}: {}",
                self.payload.log_id.chars().take(64).collect::<String>()
            ));
        };
        let promise = BASE64
            .decode(&self.signed_entry_timestamp)
            .map_err(|_| "the log's signature of its entry is no base64".to_owned())?;
        let signed = serde_json::to_vec(&self.payload).map_err(|error| error.to_string())?;
        log.key.verify(&signed, &promise).map_err(|_| "the log did not sign its log entry".to_owned())?;
        Ok(at)
    }
}
