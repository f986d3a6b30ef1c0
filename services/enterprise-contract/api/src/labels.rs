//! Keys of labels that rules look at.

use fleet_api::LabelKey;

/// Label of a Tekton Task: what kind of build it does, such as `docker`.
pub const BUILD_TYPE: LabelKey = LabelKey::new("build.appstudio.redhat.com/build_type");
