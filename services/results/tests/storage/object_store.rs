//! What only an object store does: refuse, be away, come back.

use fleet::{Clock, Secret};
use results::logs::{Error, LogStore, StartError};
use rstest::rstest;
use testkit::s3::S3;

use crate::place::{BUCKET, PART, in_bucket, key, log, options, text, whole};

#[tokio::test(flavor = "multi_thread")]
async fn is_away_for_a_while() -> anyhow::Result<()> {
    let mut server = S3::start().await?;
    server.make_bucket(BUCKET)?;
    let logs = LogStore::open(&in_bucket(&server), &Clock::system()).await?;
    logs.put(&key("c"), text("before")).await?;
    server.stop();
    for error in [
        logs.put(&key("c"), log(PART * 2)).await.map(drop).unwrap_err(),
        logs.get(&key("c")).await.map(drop).unwrap_err(),
        logs.delete(&key("c")).await.unwrap_err(),
        logs.delete_result("team-a", "result-uid").await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        let text = format!("{:#}", anyhow::Error::from(error));
        assert!(text.contains("team-a/result-uid") && !text.contains("X-Amz"), "{text}");
    }
    server.start_again().await?;
    assert_eq!(whole(logs.get(&key("c")).await?).await?, "before");
    assert_eq!(logs.put(&key("c"), log(PART * 2)).await?, PART * 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_a_wrong_key() -> anyhow::Result<()> {
    let server = S3::start().await?;
    server.make_bucket(BUCKET)?;
    let mut options = in_bucket(&server);
    options.s3.secret_access_key = Secret::new("wrong".into());
    let logs = LogStore::open(&options, &Clock::system()).await?;
    for error in [
        logs.put(&key("c"), text("x")).await.map(drop).unwrap_err(),
        logs.put(&key("c"), log(PART * 2)).await.map(drop).unwrap_err(),
        logs.get(&key("c")).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Refused { status: 403, .. }), "{error}");
        assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    }
    Ok(())
}

/// Or every log would be gone, and the next thing that is done about it wrong.
#[tokio::test(flavor = "multi_thread")]
async fn tells_a_missing_bucket_from_a_missing_log() -> anyhow::Result<()> {
    let server = S3::start().await?;
    let logs = LogStore::open(&in_bucket(&server), &Clock::system()).await?;
    let error = logs.get(&key("c")).await.map(drop).unwrap_err();
    assert!(matches!(&error, Error::Refused { code, .. } if code == "NoSuchBucket"), "{error}");
    assert!(logs.delete(&key("c")).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn believes_only_known_authorities() -> anyhow::Result<()> {
    let server = S3::start().await?;
    server.make_bucket(BUCKET)?;
    let mut options = in_bucket(&server);
    options.s3.ca_bundle = None;
    let logs = LogStore::open(&options, &Clock::system()).await?;
    let error = logs.get(&key("c")).await.map(drop).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    Ok(())
}

#[rstest]
#[case::bucket("S3_BUCKET_NAME", |s3: &mut results::logs::S3Options| s3.bucket.clear())]
#[case::region("S3_REGION", |s3: &mut results::logs::S3Options| s3.region.clear())]
#[case::key("S3_ACCESS_KEY_ID", |s3: &mut results::logs::S3Options| s3.access_key_id.clear())]
#[case::secret("S3_SECRET_ACCESS_KEY", |s3: &mut results::logs::S3Options| s3.secret_access_key = Secret::new(String::new()))]
#[case::endpoint("S3_ENDPOINT", |s3: &mut results::logs::S3Options| s3.endpoint = "minio:9000/".into())]
#[case::small_parts("S3_MULTI_PART_SIZE", |s3: &mut results::logs::S3Options| s3.part_size = 1 << 20)]
#[case::bucket_in_front_of_an_address("S3_HOSTNAME_IMMUTABLE=true", |s3: &mut results::logs::S3Options| {
    s3.endpoint = "https://192.0.2.1".into();
    s3.hostname_immutable = false;
})]
#[case::authorities("/nowhere/ca.crt", |s3: &mut results::logs::S3Options| s3.ca_bundle = Some("/nowhere/ca.crt".into()))]
#[tokio::test]
async fn a_bad_setting_is_named(#[case] name: &str, #[case] spoil: fn(&mut results::logs::S3Options)) {
    let mut options = options();
    options.kind = results::logs::Kind::S3;
    options.s3.access_key_id = "id".into();
    options.s3.secret_access_key = Secret::new("secret".into());
    options.s3.endpoint = "https://s3.example".into();
    assert!(LogStore::open(&options, &Clock::system()).await.is_ok());
    spoil(&mut options.s3);
    let error: StartError = LogStore::open(&options, &Clock::system()).await.unwrap_err();
    assert!(error.to_string().contains(name), "{error}");
}
