//! What the kit does after an error.

use kube::core::Status;

/// How the kit answers an error of a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Class {
    /// May go away by itself: again, after a jittered back-off.
    Retry,
    /// Stays until an object changes: the user was told in status; wait for the change.
    Wait,
    /// Nobody needs to know: what the work was about is gone.
    Forget,
}

/// Says to the kit what an error means. Each module's `Error` enum has it.
pub trait Classed: std::error::Error + Send + Sync + 'static {
    fn class(&self) -> Class;

    /// Event reason and metric label: a word from a closed set.
    fn label(&self) -> &'static str;
}

/// The class of what the API server, or the way to it, answered to a write.
pub fn classify(error: &kube::Error) -> Class {
    let kube::Error::Api(status) = error else { return Class::Retry };
    match status.code {
        // Gone while we worked; its deletion event ends the work.
        404 | 410 => Class::Forget,
        400 | 405 | 413 | 422 => Class::Wait,
        _ if is_too_large(error) => Class::Wait,
        // Also 401 and 403: an expired token or a missing rule is mended without any object changing.
        _ => Class::Retry,
    }
}

/// Whether the answer to a create will be the same next time, so that the user is told instead of waiting
/// (contracts.md, section b): 400, 401, 403 other than a quota, 405, 413, 422.
pub fn is_permanent(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    match status.code {
        403 => !is_quota(status),
        400 | 401 | 405 | 413 | 422 => true,
        _ => is_too_large(error),
    }
}

/// Whether what was to be written is more than the API server or its etcd takes: about 1.5 MB for an object.
pub fn is_too_large(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    // The API server hands the refusal of etcd on as an internal error; nothing but its text tells it from others.
    status.code == 413
        || (status.code == 500
            && ["etcdserver: request is too large", "trying to send message larger than max"]
                .iter()
                .any(|words| status.message.contains(words)))
}

/// A ResourceQuota refuses with the same code and reason as RBAC; only the text tells them apart.
fn is_quota(status: &Status) -> bool {
    status.message.contains("exceeded quota")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::conflict(409, "the object has been modified", Class::Retry, false)]
    #[case::too_many_requests(429, "", Class::Retry, false)]
    #[case::webhook_away(500, "failed calling webhook", Class::Retry, false)]
    #[case::expired_token(401, "Unauthorized", Class::Retry, true)]
    #[case::rbac(403, "cannot patch resource", Class::Retry, true)]
    #[case::quota(403, "pods \"a\" is forbidden: exceeded quota: compute", Class::Retry, false)]
    #[case::invalid(422, "spec.application: Required value", Class::Wait, true)]
    #[case::too_large(413, "", Class::Wait, true)]
    #[case::too_large_for_etcd(500, "etcdserver: request is too large", Class::Wait, true)]
    #[case::gone(404, "", Class::Forget, false)]
    fn classifies_answers(
        #[case] code: u16,
        #[case] message: &str,
        #[case] class: Class,
        #[case] permanent: bool,
    ) {
        let error = kube::Error::Api(Status::failure(message, "").with_code(code).boxed());
        assert_eq!(classify(&error), class);
        assert_eq!(is_permanent(&error), permanent);
    }

    #[test]
    fn an_unreachable_server_is_transient() {
        let error = kube::Error::Service("connection refused".into());
        assert_eq!(classify(&error), Class::Retry);
    }
}
