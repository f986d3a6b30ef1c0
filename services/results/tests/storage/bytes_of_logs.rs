//! What holds wherever logs lie.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use results::logs::{Error, Kind};
use rstest::rstest;
use sha2::{Digest as _, Sha256};
use testkit::eventually;
use tokio::sync::oneshot;

use crate::place::{CHUNK, PART, Place, broken, key, log, text, whole};

const DEADLINE: Duration = Duration::from_mins(1);

/// Sizes around those where something changes: chunks, parts.
#[rstest]
#[case::file(Kind::File)]
#[case::s3(Kind::S3)]
#[tokio::test(flavor = "multi_thread")]
async fn gives_back_what_was_put(#[case] kind: Kind) -> anyhow::Result<()> {
    let place = Place::new(kind).await?;
    for size in [0, 1, CHUNK as u64, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 12_345] {
        let stored = place.logs.put(&key("c"), log(size)).await?;
        assert_eq!(stored, size);
        let chunks: Vec<Bytes> = place.logs.get(&key("c")).await?.try_collect().await?;
        assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.len() == CHUNK), "{size}");
        let expected: Vec<Bytes> = log(size).try_collect().await?;
        assert!(chunks.concat() == expected.concat(), "{size} bytes are not those that were put");
    }
    assert_eq!(place.keys()?, ["team-a/result-uid/c"]);
    assert_eq!(place.remains()?, 0);
    Ok(())
}

/// Scenario 11: 200 MB, byte for byte, in little memory.
#[rstest]
#[case::file(Kind::File)]
#[case::s3(Kind::S3)]
#[tokio::test(flavor = "multi_thread")]
async fn long_logs_take_little_memory(#[case] kind: Kind) -> anyhow::Result<()> {
    const SIZE: u64 = 200 << 20;
    /// Other tests of this program run at the same time.
    const MEMORY: u64 = 100 << 20;
    let place = Place::new(kind).await?;
    let before = resident()?;
    let mut most = 0;
    let mut sent = Sha256::new();
    let mut count = 0_u64;
    let source = log(SIZE).inspect_ok(|piece| {
        sent.update(piece);
        count += 1;
        if count.is_multiple_of(100) {
            most = most.max(resident().unwrap_or(u64::MAX));
        }
    });
    assert_eq!(place.logs.put(&key("c"), source).await?, SIZE);
    let mut chunks = place.logs.get(&key("c")).await?;
    let mut read = Sha256::new();
    let mut size = 0;
    while let Some(chunk) = chunks.try_next().await? {
        read.update(&chunk);
        size += chunk.len() as u64;
    }
    most = most.max(resident()?);
    assert_eq!(size, SIZE);
    assert_eq!(read.finalize(), sent.finalize());
    assert!(most < before + MEMORY, "{} MiB more than before", (most - before) >> 20);
    Ok(())
}

#[rstest]
#[case::file(Kind::File)]
#[case::s3(Kind::S3)]
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_changes_nothing(#[case] kind: Kind) -> anyhow::Result<()> {
    let place = Place::new(kind).await?;
    place.logs.put(&key("c"), text("before")).await?;
    for after in [0, 100, 2 * PART + 5] {
        let error = place.logs.put(&key("c"), broken(after)).await.unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        assert_eq!(whole(place.logs.get(&key("c")).await?).await?, "before");
        assert_eq!(place.remains()?, 0, "after {after} bytes");
    }
    // Sent again, it is there once.
    assert_eq!(place.logs.put(&key("c"), log(PART + 7)).await?, PART + 7);
    let bytes: Vec<Bytes> = place.logs.get(&key("c")).await?.try_collect().await?;
    assert_eq!(bytes.concat().len() as u64, PART + 7);
    Ok(())
}

/// As when the connection of whoever sends it is lost: the server drops the call.
#[rstest]
#[case::file(Kind::File)]
#[case::s3(Kind::S3)]
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_dropped_leaves_nothing(#[case] kind: Kind) -> anyhow::Result<()> {
    let place = Place::new(kind).await?;
    let (reached, wait) = oneshot::channel();
    let endless = log(PART * 2).chain(stream::once(async {
        reached.send(()).unwrap();
        std::future::pending().await
    }));
    let logs = place.logs.clone();
    let upload = tokio::spawn(async move { logs.put(&key("c"), endless).await });
    wait.await?;
    assert!(place.remains()? > 0, "the upload is under way");
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled());
    eventually(DEADLINE, "what the upload left to go", async || {
        anyhow::ensure!(place.remains()? == 0);
        Ok(())
    })
    .await?;
    assert!(matches!(place.logs.get(&key("c")).await, Err(Error::NotFound { .. })));
    Ok(())
}

#[rstest]
#[case::file(Kind::File)]
#[case::s3(Kind::S3)]
#[tokio::test(flavor = "multi_thread")]
async fn deletes_one_or_all_of_a_result(#[case] kind: Kind) -> anyhow::Result<()> {
    let place = Place::new(kind).await?;
    place.logs.delete(&key("never-there")).await?;
    place.logs.delete_result("team-a", "never-there").await?;
    for record in ["a", "b", "c"] {
        place.logs.put(&key(record), text(record)).await?;
    }
    place.plant("team-a/result-uid-2/a", "of a Result whose uid begins alike")?;
    place.plant("team-b/result-uid/a", "of another parent")?;
    place.logs.delete(&key("b")).await?;
    assert!(matches!(place.logs.get(&key("b")).await, Err(Error::NotFound { .. })));
    assert_eq!(whole(place.logs.get(&key("a")).await?).await?, "a");
    place.logs.delete_result("team-a", "result-uid").await?;
    assert_eq!(place.keys()?, ["team-a/result-uid-2/a", "team-b/result-uid/a"]);
    assert!(place.logs.delete_result("team-b", "..").await.is_err());
    Ok(())
}

#[rstest]
#[case::file(Kind::File)]
#[case::s3(Kind::S3)]
#[tokio::test(flavor = "multi_thread")]
async fn of_several_uploads_at_once_one_stays_whole(#[case] kind: Kind) -> anyhow::Result<()> {
    let place = Place::new(kind).await?;
    let uploads = ["one", "two", "three", "four"].map(|word| {
        let logs = place.logs.clone();
        async move { logs.put(&key("c"), text(&word.repeat(10_000))).await }
    });
    futures::future::try_join_all(uploads).await?;
    let kept = whole(place.logs.get(&key("c")).await?).await?;
    assert!(["one", "two", "three", "four"].iter().any(|word| kept == word.repeat(10_000)));
    assert_eq!(place.remains()?, 0);
    Ok(())
}

/// Bytes of memory that this process holds now.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = status.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok(pages * 4096)
}
