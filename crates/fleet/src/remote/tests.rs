use super::*;

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::leader::Leadership;
use rstest::rstest;

fn kubeconfig(server: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\nusers: [{{name: u, user: {{token: {token}}}}}]\n"
    )
}

fn answer(code: u16) -> Response<Body> {
    Response::builder().status(code).body(Body::empty()).unwrap()
}

#[rstest]
#[case::fine(Ok(answer(200)), true)]
#[case::no_right_is_an_answer(Ok(answer(403)), true)]
#[case::missing_is_an_answer(Ok(answer(404)), true)]
#[case::unknown_credential(Ok(answer(401)), false)]
#[case::broken(Ok(answer(503)), false)]
#[case::out_of_reach(Err(kube::Error::Service("refused".into())), false)]
fn tells_an_answer(#[case] answer: Result<Response<Body>, kube::Error>, #[case] expected: bool) {
    assert_eq!(is_answer(&answer), expected);
}

#[test]
fn only_changes_are_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (reach, record) = (Reach::default(), Arc::clone(&told));
    reach.subscribers.write().push(Box::new(move |is_reachable| record.lock().push(is_reachable)));
    for is_reachable in [false, false, true, true, false] {
        reach.note(is_reachable);
    }
    assert_eq!(*told.lock(), [false, true, false]);
}

/// A writer of the service's own cluster, which is never asked.
fn writer() -> Writer {
    let never = tower::service_fn(|_: Request<Body>| async {
        std::future::pending::<Result<Response<Body>, std::convert::Infallible>>().await
    });
    Writer::new(Client::new(never, "n"), "test", "test".to_owned(), Leadership::always())
}

#[tokio::test]
async fn a_missing_kubeconfig_names_flag_and_file() {
    let result =
        Remote::connect("test", "remote", Path::new("/nowhere/config"), &writer(), &Registry::new()).await;
    let error = result.err().unwrap().to_string();
    assert!(error.contains("--remote /nowhere/config") && error.contains("Secret"), "{error}");
}

/// A server on loopback that answers every request with 200 and records the tokens.
async fn server() -> (String, Arc<Mutex<Vec<String>>>) {
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&tokens);
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let token = request.headers().get(http::header::AUTHORIZATION).cloned();
        record
            .lock()
            .push(token.and_then(|token| token.to_str().map(str::to_owned).ok()).unwrap_or_default());
        async {
            axum::Json(serde_json::json!({"major": "1", "minor": "30", "gitVersion": "v1", "gitCommit": "",
            "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}))
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, tokens)
}

#[tokio::test]
async fn a_new_credential_is_taken_and_another_cluster_ends_it() {
    let (url, tokens) = server().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, kubeconfig(&url, "one")).unwrap();
    let (remote, keep) = Remote::connect("test", "remote", &path, &writer(), &Registry::new()).await.unwrap();
    let changes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&changes);
    remote.on_reachable(move |is_reachable| {
        count.fetch_add(usize::from(is_reachable), Ordering::SeqCst);
    });
    let ended = tokio::spawn(keep);
    remote.client().apiserver_version().await.unwrap();
    assert_eq!(changes.load(Ordering::SeqCst), 1);
    std::fs::write(&path, "no kubeconfig: [").unwrap();
    tokio::time::pause();
    tokio::time::sleep(LOOK * 2).await;
    tokio::time::resume();
    assert!(!ended.is_finished(), "what cannot be read leaves the last good one in use");
    std::fs::write(&path, kubeconfig(&url, "two")).unwrap();
    tokio::time::pause();
    tokio::time::sleep(LOOK * 2).await;
    tokio::time::resume();
    remote.client().apiserver_version().await.unwrap();
    assert_eq!(tokens.lock().last().map(String::as_str), Some("Bearer two"));
    assert_eq!(tokens.lock().first().map(String::as_str), Some("Bearer one"));
    std::fs::write(&path, kubeconfig("http://127.0.0.1:9", "two")).unwrap();
    tokio::time::pause();
    let error = timeout(LOOK * 3, ended).await.unwrap().unwrap().unwrap_err().to_string();
    assert!(error.contains("another cluster") && error.contains("127.0.0.1:9"), "{error}");
}
