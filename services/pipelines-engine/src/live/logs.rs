//! Logs of containers that have ended, read outside reconciles.

use fleet::ObjectKey;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};
use std::time::Duration;
use tokio::time::timeout;

use crate::background::{Looked, Lookups, Wake};
use crate::task_run::decide::Awaited;
use crate::task_run::result_log::{CONTAINER, MAX_LOG};

/// Logs that are remembered. Each is read once, and waits for the run that asked for it.
const REMEMBERED: usize = 256;
/// Of one look-up.
const LIMIT: Duration = Duration::from_secs(30);
/// A container that has ended says nothing more.
const FRESH: Duration = Duration::from_secs(5);

/// Reads logs. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    client: Client,
    lookups: Lookups<Question, Awaited<String>>,
}

/// A pod: its namespace, name and uid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    pod: ObjectKey,
    uid: String,
}

impl Logs {
    /// `wake` is called with the key of who asked, when there is an answer.
    pub fn new(client: Client, wake: Wake) -> Self {
        Self { client, lookups: Lookups::new(REMEMBERED, wake) }
    }

    /// The log of the sidecar that collects results. Never waits: `asker` is woken.
    pub fn of_results(&self, asker: &ObjectKey, pod: &Pod) -> Awaited<String> {
        let question =
            Question { pod: ObjectKey::of(pod), uid: pod.metadata.uid.clone().unwrap_or_default() };
        let look = || {
            let (client, question) = (self.client.clone(), question.clone());
            async move { look(client, question).await }
        };
        self.lookups.ask(&question, asker, look).unwrap_or(Awaited::Later)
    }
}

async fn look(client: Client, question: Question) -> Looked<Awaited<String>> {
    let key = &question.pod;
    let pods: Api<Pod> = Api::namespaced(client, &key.namespace);
    let params = LogParams {
        container: Some(CONTAINER.to_owned()),
        limit_bytes: Some(MAX_LOG),
        ..LogParams::default()
    };
    let why = match timeout(LIMIT, pods.logs(&key.name, &params)).await {
        Ok(Ok(log)) => return Looked::Known { answer: Awaited::Ready(log), fresh: FRESH },
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
            let why = format!("the log of pod {:?} is gone, and its results with it", key.name);
            return Looked::Known { answer: Awaited::Failed(why), fresh: FRESH };
        }
        Ok(Err(error)) => fleet::controller::chain(&error),
        Err(late) => late.to_string(),
    };
    tracing::warn!(pod = %key, error = why, "Log of results could not be read");
    Looked::NotNow { answer: Awaited::Later, after: Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Request, Response};
    use kube::client::Body;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// The logs when an API server answers so, and where the key goes that asked.
    fn logs(code: u16, answer: &'static str) -> (Logs, tokio::sync::mpsc::UnboundedReceiver<ObjectKey>) {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            let asked = request.uri().to_string();
            let expected =
                "/api/v1/namespaces/n/pods/p/log?&container=sidecar-tekton-log-results&limitBytes=4194304";
            assert_eq!(asked, expected);
            Ok::<_, std::io::Error>(
                Response::builder().status(code).body(Body::from(answer.as_bytes().to_vec())).unwrap(),
            )
        });
        let (sender, woken) = tokio::sync::mpsc::unbounded_channel();
        let wake: Wake = Arc::new(move |key| drop(sender.send(key)));
        (Logs::new(Client::new(service, "n"), wake), woken)
    }

    #[rstest]
    #[case::there(200, "{\"name\":\"r\"}\n", Awaited::Ready("{\"name\":\"r\"}\n".to_owned()))]
    #[case::gone(404, r#"{"kind": "Status", "status": "Failure", "code": 404, "message": "no", "reason": "NotFound"}"#, Awaited::Failed("the log of pod \"p\" is gone, and its results with it".to_owned()))]
    #[case::not_now(
        500,
        r#"{"kind": "Status", "status": "Failure", "code": 500, "message": "no", "reason": "InternalError"}"#,
        Awaited::Later
    )]
    #[tokio::test]
    async fn a_log_is_read_once_for_who_asks(
        #[case] code: u16,
        #[case] answer: &'static str,
        #[case] expected: Awaited<String>,
    ) {
        let (logs, mut woken) = logs(code, answer);
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}})).unwrap();
        let run = ObjectKey::new("n", "run");
        assert_eq!(logs.of_results(&run, &pod), Awaited::Later);
        assert_eq!(woken.recv().await, Some(run.clone()));
        assert_eq!(logs.of_results(&run, &pod), expected);
    }
}
