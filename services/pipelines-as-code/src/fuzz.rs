//! Whatever somebody sends, writes or pushes: every parser answers, and none panics.
//!
//! Each test runs a bounded number of cases, or, with `FUZZ_SECONDS` in the environment, for that many seconds. A case that
//! failed is kept in `proptest-regressions/fuzz.txt` of this crate, and is tried first from then on.

use std::collections::BTreeMap;

use fleet::Secret;
use forge::ChangedFiles;
use forge::signature::{Sender, Verifier};
use http::{HeaderMap, HeaderName, HeaderValue};
use pipelines_as_code_api::repository::{Param, SecretReference};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

use crate::comment::{Command, CommitCommand};
use crate::delivery::{self, Parsed, tests::payloads};
use crate::event::testing::{comment, push};
use crate::event::{Event, Payload};
use crate::list;
use crate::matching::{self, Candidate, Facts, Match};
use crate::template::{self, Assignments, Template, Values};

/// Tries `test` on what `strategy` makes up.
pub(crate) fn fuzz<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    testkit::fuzz(file!(), strategy, test);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            btree_map(any_field(), inner, 0..8).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// A name that payloads have, or anything.
fn any_field() -> impl Strategy<Value = String> {
    let known = [
        "action",
        "ref",
        "before",
        "after",
        "head_commit",
        "id",
        "repository",
        "project",
        "full_name",
        "html_url",
        "sender",
        "pull_request",
        "object_attributes",
        "merge_request",
        "labels",
        "changes",
        "comment",
        "body",
        "actor",
        "links",
    ];
    prop_oneof![3 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any_text()]
}

fn any_text() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "/test",
        "/ok-to-test",
        "refs/heads/",
        "../..",
        "0000000000000000000000000000000000000000",
        payloads::HEAD,
    ];
    prop_oneof![
        2 => "\\PC{0,24}",
        1 => ".{0,12}",
        1 => prop::sample::select(odd.to_vec()).prop_map(str::to_owned),
    ]
}

/// A payload as a forge sends it, with something else at some places.
fn any_payload() -> impl Strategy<Value = (Sender, &'static str, Value)> {
    let changes = vec((any::<prop::sample::Index>(), prop::option::of(any_json())), 0..4);
    (prop::sample::select(payloads::all()), changes).prop_map(|((sender, kind, mut body), changes)| {
        for (place, value) in changes {
            let pointers = payloads::pointers(&body);
            if !pointers.is_empty() {
                change(&mut body, place.get::<String>(&pointers), value);
            }
        }
        (sender, kind, body)
    })
}

/// Something else instead of what is at a place, or nothing.
fn change(body: &mut Value, pointer: &str, value: Option<Value>) {
    match (value, pointer.rsplit_once('/')) {
        (Some(value), _) => {
            if let Some(place) = body.pointer_mut(pointer) {
                *place = value;
            }
        }
        (None, Some((around, name))) => match body.pointer_mut(around) {
            Some(Value::Object(fields)) => {
                fields.remove(name);
            }
            Some(Value::Array(items)) => items.clear(),
            _ => {}
        },
        (None, None) => {}
    }
}

fn any_sender() -> impl Strategy<Value = Sender> {
    let senders =
        [Sender::GitHub, Sender::GitLab, Sender::Gitea, Sender::BitbucketCloud, Sender::BitbucketServer];
    prop::sample::select(senders.to_vec())
}

fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let known = [
        "content-type",
        "x-github-event",
        "x-gitlab-event",
        "x-gitea-event-type",
        "x-gitea-event",
        "x-event-key",
        "x-hub-signature-256",
        "x-gitlab-token",
    ];
    let kinds =
        ["push", "pull_request", "issue_comment", "Push Hook", "System Hook", "repo:push", "pr:opened"];
    let name = prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "[a-z-]{1,16}"];
    let value = prop_oneof![
        prop::sample::select(kinds.to_vec()).prop_map(|kind| kind.as_bytes().to_vec()),
        Just(b"application/x-www-form-urlencoded".to_vec()),
        vec(any::<u8>(), 0..24),
    ];
    vec((name, value), 0..6).prop_map(|pairs| {
        let pair = |(name, value): (String, Vec<u8>)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(&value).ok()?))
        };
        pairs.into_iter().filter_map(pair).collect()
    })
}

/// What is done with an event whatever it is.
fn look_at(event: &Event, payload: &Payload) {
    let standard = template::standard(event, "https://git.test/acme/app.git", "ours");
    let _ = Assignments::of(event, BTreeMap::new()).over(standard);
    let _ = (event.is_of_fork(), event.commit_title(), event.command());
    let annotations = BTreeMap::from([(
        "pipelinesascode.tekton.dev/on-cel-expression".to_owned(),
        "event == 'push' && target_branch == 'main'".to_owned(),
    )]);
    let facts = Facts { event, payload, changed: None, namespace: "ours", has_repository: &|_| false };
    let _ = matching::matches(&facts, &Candidate { name: "build", annotations: &annotations });
}

#[test]
fn payloads_of_forges() {
    let strategy = (any_payload(), any_headers());
    fuzz(&strategy, |((sender, kind, body), mut headers)| {
        for name in ["x-github-event", "x-gitlab-event", "x-gitea-event-type", "x-event-key"] {
            headers.insert(name, HeaderValue::from_static(kind));
        }
        if let Ok(Parsed::Event(event)) = delivery::parse(sender, &headers, &body) {
            look_at(&event, &delivery::payload(&headers, body));
        }
        Ok(())
    });
}

#[test]
fn payloads_of_anybody() {
    fuzz(&(any_sender(), any_headers(), any_json()), |(sender, headers, body)| {
        if let Ok(Parsed::Event(event)) = delivery::parse(sender, &headers, &body) {
            look_at(&event, &delivery::payload(&headers, body));
        }
        Ok(())
    });
}

#[test]
fn bytes() {
    let text = any_json().prop_map(|json| json.to_string().into_bytes());
    let form = any_json().prop_map(|json| {
        let pair = [("payload", json.to_string())];
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pair).finish().into_bytes()
    });
    let body = prop_oneof![vec(any::<u8>(), 0..128), text, form];
    fuzz(&(any_headers(), body), |(headers, body)| {
        let _ = delivery::decode(&headers, &body);
        Ok(())
    });
}

#[test]
fn signatures() {
    let secrets = [&b"first-secret"[..], b"second-secret"].map(|secret| Secret::new(secret.to_vec()));
    fuzz(&(any_sender(), any_headers(), vec(any::<u8>(), 0..64)), |(sender, headers, body)| {
        let verifier = Verifier::new(sender, secrets.clone());
        prop_assert!(verifier.verify(&headers, &body).is_err(), "{sender} with {headers:?}");
        Ok(())
    });
}

#[test]
fn comments() {
    let word = prop_oneof![
        prop::sample::select(vec![
            "/test",
            "/retest",
            "/cancel",
            "/ok-to-test",
            "branch:",
            "a=",
            "=\"",
            "\\\"",
            "\"",
            "\r\n",
            "\n",
            " "
        ])
        .prop_map(str::to_owned),
        "\\PC{0,8}",
    ];
    fuzz(&vec(word, 0..12), |words| {
        let text = words.concat();
        let _ = CommitCommand::of(&text);
        let command = Command::of(&text);
        prop_assert!(command.is_none() || text.lines().any(|line| line.starts_with('/')), "{text:?}");
        look_at(&comment(&text), &Payload::default());
        Ok(())
    });
}

#[test]
fn templates() {
    let part = prop_oneof![
        prop::sample::select(vec![
            "{{",
            "}}",
            "{{ revision }}",
            "{{body.title}}",
            "{{ headers['x-a'] }}",
            "{{ cel: body.n + 1 }}",
            "{{ files.all }}",
            "{{ body",
            "[",
            "]",
            ".",
            "'",
            "a: ",
            "- ",
            "\n",
            "paa0z",
            "paa",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    fuzz(&(vec(part, 0..16), any_json()), |(parts, body)| {
        let text = parts.concat();
        let template = Template::new(&text);
        prop_assert_eq!(template.restored(template.yaml()), text.as_str(), "nothing is lost");
        let (payload, changed) = (Payload { body, headers: Vec::new() }, ChangedFiles::default());
        let variables = BTreeMap::from([("revision".to_owned(), "{{ body }}".to_owned())]);
        let mut values = Values::new(variables, &payload, Some(&changed));
        for key in template.keys() {
            let _ = (template::wants_files(key), values.get(key));
        }
        let mut decoded = json!({ template.yaml(): [template.yaml()] });
        template.fill(&mut decoded, &mut |key| values.get(key));
        template::expand(&mut decoded, &|_| Some("{{ again }}".to_owned()));
        let _ = template::expanded(&text, &|key| Some(key.to_owned()));
        Ok(())
    });
}

#[test]
fn expressions() {
    let word = prop_oneof![
        4 => prop::sample::select(vec![
            "body", "headers", "files", "event", "target_branch", "pac", ".", "all", "exists", "map", "(", ")", "[", "]", "x", ",",
            "==", "&&", "||", "!", "in", "'main'", "'refs/heads/main'", "'a*'.pathChanged()", "1", "+", "?", ":", " ", "has(", "size(",
            ".matches('a')", "{", "}",
        ])
        .prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ];
    fuzz(&(vec(word, 0..20), any_json(), any::<bool>()), |(words, body, knows_files)| {
        let (expression, changed) = (words.concat(), ChangedFiles::default());
        let payload = Payload { body, headers: vec![("x-a".to_owned(), "b".to_owned())] };
        let annotations =
            BTreeMap::from([("pipelinesascode.tekton.dev/on-cel-expression".to_owned(), expression.clone())]);
        let facts = Facts {
            event: &push("refs/heads/main"),
            payload: &payload,
            changed: knows_files.then_some(&changed),
            namespace: "ours",
            has_repository: &|_| false,
        };
        let judged = matching::matches(&facts, &Candidate { name: "build", annotations: &annotations });
        prop_assert!(!knows_files || judged != Match::NeedsChangedFiles, "it is asked for once");
        let param = Param {
            name: "a".to_owned(),
            value: Some("b".to_owned()),
            filter: Some(expression),
            ..Param::default()
        };
        let no_secret = |_: &SecretReference| None;
        let _ = template::params::of(&[param], &no_secret, &payload, Some(&changed), &BTreeMap::new());
        Ok(())
    });
}

#[test]
fn lists_and_globs() {
    let text = prop_oneof!["[\\[\\]{}!*?,a-c\\\\/ -]{0,24}", "\\PC{0,24}"];
    fuzz(&(text, any_text()), |(text, branch)| {
        let _ = list::parse(&text);
        let of = |key: &str, value: &str| (format!("pipelinesascode.tekton.dev/{key}"), value.to_owned());
        let written = ["on-target-branch", "on-path-change", "on-comment"].map(|key| of(key, &text));
        let annotations = written.into_iter().chain([of("on-event", "push")]).collect();
        let changed = ChangedFiles { added: [branch.clone()].into(), ..ChangedFiles::default() };
        for event in [push(&branch), comment(&branch)] {
            let facts = Facts {
                event: &event,
                payload: &Payload::default(),
                changed: Some(&changed),
                namespace: "ours",
                has_repository: &|_| false,
            };
            let _ = matching::matches(&facts, &Candidate { name: &text, annotations: &annotations });
        }
        Ok(())
    });
}
