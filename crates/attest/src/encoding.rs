//! Bytes in JSON.

/// Bytes as base64, for serde's `with`. Written in the standard alphabet, read also in that of URLs, as DSSE has it.
pub(crate) mod base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = STANDARD.decode(&text).or_else(|_| URL_SAFE.decode(&text));
        read.map_err(|_| de::Error::custom("a value is no base64"))
    }
}
