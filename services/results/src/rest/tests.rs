//! What the routes say. The calls behind them are tested against a real database.

use http_body_util::BodyExt as _;
use rstest::rstest;
use serde_json::Value;

use super::*;

#[rstest]
#[case::invalid(Code::InvalidArgument, 400)]
#[case::precondition(Code::FailedPrecondition, 400)]
#[case::no_token(Code::Unauthenticated, 401)]
#[case::no_right(Code::PermissionDenied, 403)]
#[case::missing(Code::NotFound, 404)]
#[case::twice(Code::AlreadyExists, 409)]
#[case::internal(Code::Internal, 500)]
#[case::unknown(Code::Unknown, 500)]
#[case::unimplemented(Code::Unimplemented, 501)]
#[case::away(Code::Unavailable, 503)]
#[case::too_slow(Code::DeadlineExceeded, 504)]
#[tokio::test]
async fn an_error_has_a_status_and_a_body(#[case] code: Code, #[case] expected: u16) {
    let response = Failed(Status::new(code, "what \"happened\"")).into_response();
    assert_eq!(response.status().as_u16(), expected);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body, json!({ "code": i32::from(code), "message": "what \"happened\"", "details": [] }));
}

#[test]
fn a_body_that_is_none_says_where() {
    let Err(Failed(status)) = decoded::<ResultMessage>(&Bytes::from_static(b"{\"name\": 7}")) else {
        unreachable!("a name is a text")
    };
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("line 1"), "{status}");
}
