//! Keys of labels, and their values where they are fixed.

use fleet_api::LabelKey;

/// ImageRepository and `RemoteSecret` label: name of the Application. Written by who creates it.
pub const APPLICATION: LabelKey = LabelKey::new("appstudio.redhat.com/application");

/// ImageRepository and `RemoteSecret` label: name of the Component that the images are of. Written by who
/// creates it; has no effect on an ImageRepository that exists already.
pub const COMPONENT: LabelKey = LabelKey::new("appstudio.redhat.com/component");

/// `RemoteSecret` and Secret label: `true` if made by the platform, not by a user.
pub const INTERNAL: LabelKey = LabelKey::new("appstudio.redhat.com/internal");

/// Secret label: [`UPLOAD_SECRET_REMOTE_SECRET`] if it carries the data of a `RemoteSecret`, whose service
/// takes it over and deletes the Secret.
pub const UPLOAD_SECRET: LabelKey = LabelKey::new("appstudio.redhat.com/upload-secret");

/// The value of [`UPLOAD_SECRET`].
pub const UPLOAD_SECRET_REMOTE_SECRET: &str = "remotesecret";
