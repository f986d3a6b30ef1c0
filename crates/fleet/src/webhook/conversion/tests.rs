use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::to_bytes;
use rstest::rstest;
use serde_json::json;

use super::*;

const NEW: &str = "example.com/v2";

fn thing(name: &str) -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "Thing",
        "metadata": {
            "name": name, "namespace": "team-a", "uid": format!("u-{name}"), "resourceVersion": "7",
            "labels": {"a": "b"}, "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {"size": 3, "unknown": {"deep": [1, 2.5, null]}},
    })
}

/// Writes the version and moves `size`.
fn grow(mut object: Value, to: &str) -> Result<Value, String> {
    object["apiVersion"] = to.into();
    let size =
        object["spec"].as_object_mut().and_then(|spec| spec.remove("size")).ok_or("spec.size is missing")?;
    object["spec"]["dimensions"] = json!({"height": size});
    Ok(object)
}

fn hook<E: Display + 'static>(
    convert: impl Fn(Value, &str) -> Result<Value, E> + Send + Sync + 'static,
) -> Conversion {
    Conversion::new("/convert", convert)
}

fn review(objects: &Value) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": KIND,
        "request": {"uid": "u-1", "desiredAPIVersion": NEW, "objects": objects},
        // The API server sends this, too.
        "response": {"uid": "", "result": {}, "convertedObjects": null},
    })
}

async fn post(hook: &Conversion, review: &Value) -> (StatusCode, Vec<u8>) {
    let response = hook.answer(&serde_json::to_vec(review).unwrap()).await;
    let status = response.status();
    (status, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
}

async fn answer(hook: &Conversion, objects: &Value) -> Value {
    let (status, body) = post(hook, &review(objects)).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!(API_VERSION), &json!(KIND)));
    assert_eq!(answer["response"]["uid"], "u-1");
    answer["response"].clone()
}

/// The message of a review that failed.
async fn failure(hook: &Conversion, objects: &Value) -> String {
    let response = answer(hook, objects).await;
    assert_eq!(response["result"]["status"], "Failed");
    assert_eq!(response["convertedObjects"], json!([]));
    response["result"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn converts_all_in_their_order_and_leaves_alone_what_is_new_already() {
    let mut new = thing("new");
    new["apiVersion"] = NEW.into();
    let response = answer(&hook(grow), &json!([thing("a"), new, thing("b")])).await;
    assert_eq!(response["result"], json!({"status": "Success"}));
    let expected = [grow(thing("a"), NEW).unwrap(), new, grow(thing("b"), NEW).unwrap()];
    assert_eq!(response["convertedObjects"], json!(expected));
}

#[rstest]
#[case::none(json!([]))]
#[case::as_go_writes_it(Value::Null)]
#[tokio::test]
async fn converts_nothing(#[case] objects: Value) {
    let response = answer(&hook(grow), &objects).await;
    assert_eq!(
        (&response["result"]["status"], &response["convertedObjects"]),
        (&json!("Success"), &json!([]))
    );
}

#[tokio::test]
async fn names_the_object_that_fails_all() {
    let mut flat = thing("flat");
    flat["spec"] = json!({});
    assert_eq!(
        failure(&hook(grow), &json!([thing("a"), flat, thing("b")])).await,
        "Thing team-a/flat cannot be converted from example.com/v1 to example.com/v2: spec.size is missing; mend or \
         delete it as example.com/v1"
    );
}

#[rstest]
#[case::number(json!(1))]
#[case::list(json!([]))]
#[tokio::test]
async fn says_which_is_no_object(#[case] object: Value) {
    let message = failure(&hook(grow), &json!([thing("a"), object])).await;
    assert!(message.starts_with("object 1 cannot be converted"), "{message}");
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let bomb = hook(|object: Value, to: &str| {
        assert_ne!(object["metadata"]["name"], "bomb", "internals");
        grow(object, to)
    });
    let message = failure(&bomb, &json!([thing("a"), thing("bomb")])).await;
    assert_eq!(
        message,
        "Thing team-a/bomb cannot be converted from example.com/v1 to example.com/v2: the conversion panicked; this \
         is a fault of the service, whose log says more; example.com/v1 can still be asked for"
    );
    assert_eq!(answer(&bomb, &json!([thing("a")])).await["result"]["status"], "Success");
}

#[rstest]
#[case::name("/metadata/name", json!("other"), "metadata.name")]
#[case::namespace("/metadata/namespace", json!("other"), "metadata.namespace")]
#[case::uid("/metadata/uid", json!("other"), "metadata.uid")]
#[case::version("/metadata/resourceVersion", json!("8"), "metadata.resourceVersion")]
#[case::all_metadata("/metadata", json!("gone"), "metadata")]
#[case::kind("/kind", json!("Other"), "kind")]
#[case::api_version("/apiVersion", json!("example.com/v3"), "apiVersion to \"example.com/v3\"")]
#[case::all("", json!([]), "it into no object")]
#[tokio::test]
async fn refuses_a_conversion_that_changes_who_the_object_is(
    #[case] pointer: &'static str,
    #[case] value: Value,
    #[case] expected: &str,
) {
    let wrong = hook(move |object: Value, to: &str| {
        let mut object = grow(object, to)?;
        *object.pointer_mut(pointer).unwrap() = value.clone();
        Ok::<_, String>(object)
    });
    let message = failure(&wrong, &json!([thing("a")])).await;
    assert!(message.contains(&format!("the conversion changed {expected}, which it must not")), "{message}");
}

#[rstest]
#[case::added("finalizers", json!(["f"]))]
#[case::removed("uid", Value::Null)]
#[tokio::test]
async fn refuses_metadata_that_came_or_went(#[case] field: &'static str, #[case] value: Value) {
    let wrong = hook(move |object: Value, to: &str| {
        let mut object = grow(object, to)?;
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.remove(field);
        if !value.is_null() {
            metadata.insert(field.to_owned(), value.clone());
        }
        Ok::<_, String>(object)
    });
    let message = failure(&wrong, &json!([thing("a")])).await;
    assert!(message.contains(&format!("changed metadata.{field}")), "{message}");
}

#[tokio::test]
async fn lets_labels_and_annotations_change() {
    let annotates = hook(|object: Value, to: &str| {
        let mut object = grow(object, to)?;
        object["metadata"]["labels"] = json!({"c": "d"});
        object["metadata"]["annotations"] = json!({"kept": "1"});
        Ok::<_, String>(object)
    });
    let response = answer(&annotates, &json!([thing("a")])).await;
    assert_eq!(response["convertedObjects"][0]["metadata"]["annotations"], json!({"kept": "1"}));
}

#[rstest]
#[case::no_json(b"{", "no ConversionReview: EOF")]
#[case::no_request(
    br#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview"}"#,
    "without a request"
)]
#[case::older(br#"{"apiVersion":"apiextensions.k8s.io/v1beta1","kind":"ConversionReview"}"#, "[v1]")]
#[case::another(br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#, "but AdmissionReview")]
#[tokio::test]
async fn refuses_to_guess(#[case] body: &[u8], #[case] expected: &str) {
    let response = hook(grow).answer(body).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let text = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains(expected), "{text}");
}

/// Ten times as many objects take about ten times as long, and what else runs gets its turn all the time.
#[tokio::test]
async fn many_objects_cost_what_they_weigh() {
    let turns = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let turns = turns.clone();
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let objects: Vec<Value> = (0..10_000).map(|index| thing(&format!("thing-{index}"))).collect();
    let body = serde_json::to_vec(&review(&objects.into())).unwrap();
    assert!(body.len() < LARGEST_CONVERSION);
    let (hook, started) = (hook(grow), Instant::now());
    let response = hook.answer(&body).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(turns.load(Ordering::Relaxed) >= 10_000, "others waited");
    // A tenth of the server's deadline takes a debug build on a busy machine; quadratic work would take minutes.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
