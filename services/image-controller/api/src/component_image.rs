//! An image repository asked for, and told, by annotations of a Component: the way before [`ImageRepository`]
//! existed.
//!
//! ```json
//! image.redhat.com/generate: {"visibility":"private"}
//! image.redhat.com/image:    {"image":"images.example.com/org/ns/app/web","visibility":"private","secret":"web"}
//! ```
//!
//! [`ImageRepository`]: crate::ImageRepository

use std::str::FromStr;

use fleet_api::Open;
use serde::{Deserialize, Serialize};

use crate::image_repository::Visibility;

/// Value of the annotation `image.redhat.com/generate`, in JSON; the word `true` stands for a public one. Written by
/// users, read by image-controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GenerateRequest {
    /// Who may pull.
    pub visibility: Visibility,
}

/// Why a request cannot be met. Its words are the `message` of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidRequest {
    Json,
    Visibility(String),
}

impl std::error::Error for InvalidRequest {}

impl std::fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json => f.write_str("invalid JSON in image.redhat.com/generate annotation"),
            Self::Visibility(word) => {
                write!(f, "invalid value: {word} in visibility field in image.redhat.com/generate annotation")
            }
        }
    }
}

impl FromStr for GenerateRequest {
    type Err = InvalidRequest;

    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        #[derive(Deserialize)]
        struct Request {
            #[serde(default)]
            visibility: Option<String>,
        }

        if text.trim() == "true" {
            return Ok(Self { visibility: Visibility::Public });
        }
        let request: Request = serde_json::from_str(text).map_err(|_| InvalidRequest::Json)?;
        let word = request.visibility.unwrap_or_default();
        match word.as_str() {
            "public" => Ok(Self { visibility: Visibility::Public }),
            "private" => Ok(Self { visibility: Visibility::Private }),
            _ => Err(InvalidRequest::Visibility(word)),
        }
    }
}

/// Value of the annotation `image.redhat.com/image`, in JSON. Empty fields are left out. Written by image-controller,
/// read by build-service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentImage {
    /// The repository, without tag.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Who may pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Open<Visibility>>,
    /// Secret of the same namespace with the credentials to push.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// What went wrong, for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What [`ComponentImage`]'s `message` says of each trouble.
pub mod messages {
    /// The answer to an earlier request cannot be read.
    pub const INVALID_STATUS: &str = "Invalid image status annotation";
    /// The answer to an earlier request names no repository.
    pub const INVALID_URL: &str = "Invalid image url";
    /// The registry does not let the organisation have another private repository.
    pub const NO_PRIVATE_REPOSITORIES: &str =
        "Quay organization plan doesn't allow private image repositories";
    /// Anything else.
    pub const FAILED: &str = "failed to generate image repository";
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[expect(clippy::unnecessary_wraps, reason = "what the tables compare with")]
    fn visible(visibility: Visibility) -> Result<GenerateRequest, InvalidRequest> {
        Ok(GenerateRequest { visibility })
    }

    #[rstest]
    #[case::word("true", visible(Visibility::Public))]
    #[case::public(r#"{"visibility":"public"}"#, visible(Visibility::Public))]
    #[case::private(r#"{"visibility": "private"}"#, visible(Visibility::Private))]
    #[case::not_json("{", Err(InvalidRequest::Json))]
    #[case::other_word("false", Err(InvalidRequest::Json))]
    #[case::no_visibility("{}", Err(InvalidRequest::Visibility(String::new())))]
    #[case::other_visibility(r#"{"visibility":"secret"}"#, Err(InvalidRequest::Visibility("secret".to_owned())))]
    fn reads_requests(#[case] text: &str, #[case] expected: Result<GenerateRequest, InvalidRequest>) {
        assert_eq!(text.parse(), expected);
    }

    #[test]
    fn says_what_is_wrong_with_a_request() {
        let error = InvalidRequest::Visibility("x".to_owned()).to_string();
        assert_eq!(error, "invalid value: x in visibility field in image.redhat.com/generate annotation");
    }
}
