use std::collections::BTreeMap;

use k8s_openapi::ByteString;

use super::*;

fn application(with: &Value) -> Application {
    let mut metadata = json!({"name": "shop", "namespace": "team", "uid": "a1", "resourceVersion": "2"});
    for (key, value) in with.as_object().unwrap() {
        metadata[key] = value.clone();
    }
    serde_json::from_value(json!({"metadata": metadata, "spec": {"displayName": "Shop"}})).unwrap()
}

fn made(name: &str, state: &str) -> Arc<ImageRepository> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "team", "uid": name},
            "spec": {},
            "status": {"state": state, "credentials": {
                "push-secret": format!("{name}-image-push"), "pull-secret": format!("{name}-image-pull"),
            }},
        }))
        .unwrap(),
    )
}

fn secret(name: &str, urls: &[&str], owner: &str) -> Secret {
    let auths = urls.iter().map(|url| ((*url).to_owned(), json!({ "auth": name }))).collect();
    let metadata = json!({
        "name": name, "namespace": "team", "uid": "s", "resourceVersion": "1",
        "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": owner}],
    });
    let mut secret: Secret = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
    secret.data = Some(credentials::data(&credentials::of_all(&auths)));
    secret
}

fn seen(application: Application, image_repositories: &[Arc<ImageRepository>], parts: &[Secret]) -> Observed {
    Observed {
        application: Arc::new(application),
        image_repositories: image_repositories.to_vec(),
        present: None,
        parts: parts.to_vec(),
        of_namespace: None,
        account: None,
    }
}

fn content(writes: &[Write]) -> Vec<String> {
    let data = writes.iter().find_map(|write| match write {
        Write::Create(create) => Some(create.object["data"].clone()),
        Write::Patch(patch) => Some(patch.body["data"].clone()).filter(|data| !data.is_null()),
        _ => None,
    });
    let data: BTreeMap<String, ByteString> = serde_json::from_value(data.unwrap()).unwrap();
    credentials::auths(&Secret { data: Some(data), ..Secret::default() }).keys().cloned().collect()
}

#[test]
fn only_secrets_of_its_own_image_repositories_are_put_together() {
    let all = [made("a", "ready"), made("b", "ready"), made("c", "failed")];
    let parts = [
        secret("a-image-pull", &["x/a"], "a"),
        secret("b-image-pull", &["x/b"], "b"),
        secret("c-image-pull", &["x/c"], "c"),
        secret("planted", &["x/planted"], "p"),
    ];
    let writes = decide(&seen(application(&json!({})), &all, &parts)).unwrap();
    assert_eq!(content(&writes), ["x/a", "x/b"]);
    assert!(matches!(&writes[0], Write::Patch(patch) if patch.body["metadata"]["finalizers"].is_array()));
}

#[test]
fn what_is_up_to_date_is_not_written() {
    let mut seen = seen(
        application(&json!({"finalizers": [finalizers::APPLICATION.as_str()]})),
        &[made("a", "ready")],
        &[secret("a-image-pull", &["x/a"], "a")],
    );
    let mut present = secret("a-image-pull", &["x/a"], "a1");
    present.metadata.name = Some("shop-pull".to_owned());
    seen.present = Some(present);
    assert_eq!(decide(&seen).unwrap(), []);
}

#[test]
fn a_secret_of_somebody_else_is_not_taken_over() {
    let mut seen = seen(application(&json!({})), &[made("a", "ready")], &[]);
    seen.present = Some(secret("shop-pull", &["x/mine"], "somebody"));
    assert!(matches!(decide(&seen), Err(delivery::Error::Taken(name)) if name == "shop-pull"));
}

#[test]
fn an_application_that_goes_is_unlinked_first() {
    let mut seen = seen(
        application(&json!({
            "finalizers": [finalizers::APPLICATION.as_str()], "deletionTimestamp": "2024-01-01T00:00:00Z",
        })),
        &[made("a", "ready")],
        &[],
    );
    let account = json!({
        "metadata": {"name": "konflux-integration-runner", "namespace": "team", "uid": "r", "resourceVersion": "1"},
        "secrets": [{"name": "shop-pull"}], "imagePullSecrets": [{"name": "other"}],
    });
    seen.account = Some(Arc::new(serde_json::from_value(account).unwrap()));
    let writes = decide(&seen).unwrap();
    let [Write::Patch(unlink), Write::Patch(let_go)] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!(unlink.body["secrets"], json!([{"$patch": "delete", "name": "shop-pull"}]));
    assert_eq!(unlink.body["imagePullSecrets"], Value::Null);
    assert_eq!(let_go.body["metadata"]["finalizers"], json!([]));
}

#[test]
fn what_does_not_fit_into_a_secret_is_the_login_of_the_namespace() {
    let urls: Vec<String> =
        (0..20_000).map(|i| format!("images.example/org/team/shop/component-{i}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let part = secret("a-image-pull", &urls, "a");
    let mut seen = seen(application(&json!({})), &[made("a", "ready")], &[part]);
    seen.of_namespace = Some(secret("components-namespace-pull", &["images.example/org/team"], "n"));
    assert_eq!(content(&decide(&seen).unwrap()), ["images.example/org/team"]);
}
