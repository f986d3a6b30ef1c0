//! An image repository asked for, and told, by annotations of a Component: the way before [`ImageRepository`]
//! existed.
//!
//! [`ImageRepository`]: crate::ImageRepository

use serde::{Deserialize, Serialize};

use crate::image_repository::Visibility;

/// Value of the annotation `image.redhat.com/generate`, in JSON; the word `true` stands for a public one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// Who may pull.
    pub visibility: Visibility,
}

/// Value of the annotation `image.redhat.com/image`, in JSON. Empty fields are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentImage {
    /// The repository, without tag.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Who may pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// Secret of the same namespace with the credentials to push.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// What went wrong, for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
