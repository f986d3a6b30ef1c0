//! The calls of the service `Logs`, over a real database: whose log a name leads to, and what becomes of it.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use results::logs::{Kind, LogKey};
use results::logs_service::LogsService;
use results::store::{NewRecord, NewResult, Options, Store, Tls};
use results_api::log::{Log as LogData, Resource};
use results_api::names::LogName;
use results_api::v1alpha2::{ListRecordsRequest, Log};
use rstest::rstest;
use testkit::postgres::{Database, Postgres};
use tonic::{Code, Status};

use crate::place::Place;

const LOG: &str = "results.tekton.dev/v1alpha2.Log";

struct Scene {
    service: LogsService,
    store: Store,
    place: Place,
    _database: Database,
}

impl Scene {
    async fn new(kind: Kind) -> anyhow::Result<Self> {
        let database = Postgres::database().await?;
        let mut options = Options::new(
            database.host(),
            database.port(),
            database.name(),
            database.user(),
            database.password(),
        );
        options.tls = Tls::VerifyFull;
        options.root_cert = Some(database.authority().to_owned());
        let store = Store::connect(&options).await?;
        let place = Place::new(kind).await?;
        Ok(Self {
            service: LogsService::new(store.clone(), place.logs.clone()),
            store,
            place,
            _database: database,
        })
    }

    async fn result(&self, parent: &str) -> anyhow::Result<()> {
        let new = NewResult {
            parent: parent.into(),
            name: "build".into(),
            annotations: Default::default(),
            summary: None,
        };
        self.store.create_result(new).await?;
        Ok(())
    }

    /// A Log record of the run `run-uid`, which says that its log lies at `path` and is `size` bytes long.
    async fn record(&self, parent: &str, name: &str, path: &str, size: i64) -> anyhow::Result<LogName> {
        let resource = Resource {
            kind: "TaskRun".into(),
            namespace: parent.into(),
            name: "build".into(),
            uid: "run-uid".into(),
            ..Resource::default()
        };
        let mut data = LogData::new(name, resource);
        data.status.path = path.into();
        data.status.size = size;
        self.raw(parent, name, data.to_json().into()).await?;
        Ok(log_name(parent, name))
    }

    async fn raw(&self, parent: &str, name: &str, data: Bytes) -> anyhow::Result<()> {
        let new = NewRecord {
            parent: parent.into(),
            result: "build".into(),
            name: name.into(),
            kind: LOG.into(),
            data,
        };
        self.store.create_record(new).await?;
        Ok(())
    }

    async fn upload(&self, name: &LogName, text: &str) -> Result<i64, Status> {
        let summary = self.service.update_log(name, messages(name, text)).await?;
        assert_eq!(summary.record, name.to_string());
        Ok(summary.bytes_received)
    }

    async fn read(&self, name: &LogName) -> Result<String, Status> {
        let pieces: Vec<Bytes> = self.service.get_log(name).await?.try_collect().await?;
        Ok(String::from_utf8(pieces.concat()).unwrap())
    }

    async fn data(&self, name: &LogName) -> anyhow::Result<LogData> {
        let row = self.store.get_record(&name.parent, &name.result, &name.log).await?;
        Ok(LogData::from_json(&row.data)?)
    }
}

fn log_name(parent: &str, log: &str) -> LogName {
    format!("{parent}/results/build/logs/{log}").parse().unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "the item of a stream that may fail")]
fn message(name: &str, text: &str) -> Result<Log, Status> {
    Ok(Log { name: name.into(), data: Bytes::from(text.to_owned()) })
}

/// Two bytes per message.
fn messages(name: &LogName, text: &str) -> impl futures::Stream<Item = Result<Log, Status>> + Send + 'static {
    let pieces: Vec<_> = text
        .as_bytes()
        .chunks(2)
        .map(|piece| message(&name.to_string(), std::str::from_utf8(piece).unwrap()))
        .collect();
    stream::iter(pieces)
}

#[rstest]
#[case::file(Kind::File)]
#[case::s3(Kind::S3)]
#[tokio::test(flavor = "multi_thread")]
async fn stores_reads_lists_and_deletes(#[case] kind: Kind) -> anyhow::Result<()> {
    let scene = Scene::new(kind).await?;
    scene.result("team-a").await?;
    let name = scene.record("team-a", "log-1", "", 0).await?;
    let error = scene.read(&name).await.unwrap_err();
    assert_eq!((error.code(), error.message().contains("Log doesn't exist")), (Code::NotFound, true));

    assert_eq!(scene.upload(&name, "hello world").await?, 11);
    let data = scene.data(&name).await?;
    assert_eq!((data.status.size, data.spec.storage.as_str()), (11, kind.into()));
    assert_eq!(scene.read(&name).await?, "hello world");
    // By the run's name too.
    assert_eq!(scene.read(&log_name("team-a", "run-uid")).await?, "hello world");
    // Again: replaced, not appended.
    assert_eq!(scene.upload(&name, "shorter").await?, 7);
    assert_eq!((scene.read(&name).await?.as_str(), scene.data(&name).await?.status.size), ("shorter", 7));
    assert_eq!(scene.place.keys()?.len(), 1);

    let request = ListRecordsRequest { parent: "team-a/results/-".into(), ..ListRecordsRequest::default() };
    let listed = scene.service.list_logs(request).await?;
    assert_eq!(listed.records.len(), 1);
    assert!(listed.next_page_token.is_empty());

    scene.service.delete_log(&log_name("team-a", "run-uid")).await?;
    assert_eq!(scene.place.keys()?, [""; 0]);
    assert_eq!(scene.read(&name).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(scene.service.delete_log(&name).await.unwrap_err().code(), Code::NotFound);
    Ok(())
}

/// Team B knows all that can be known of team A's log, and writes it into records of its own.
#[rstest]
#[case::file(Kind::File)]
#[case::s3(Kind::S3)]
#[tokio::test(flavor = "multi_thread")]
async fn no_tenant_reaches_the_log_of_another(#[case] kind: Kind) -> anyhow::Result<()> {
    let scene = Scene::new(kind).await?;
    scene.result("team-a").await?;
    scene.result("team-b").await?;
    let of_a = scene.record("team-a", "log-1", "", 0).await?;
    scene.upload(&of_a, "secret").await?;
    let path = scene.place.keys()?.remove(0);
    let claims = [
        path.clone(),
        format!("team-b/../{path}"),
        format!("team-b/log-1/../../{path}"),
        "team-a".into(),
        "..".into(),
        format!("/{path}"),
        String::new(),
    ];
    for (position, claim) in claims.iter().enumerate() {
        let own = scene.record("team-b", &format!("own-{position}"), claim, 6).await?;
        assert_eq!(scene.read(&own).await.unwrap_err().code(), Code::NotFound, "{claim}");
        scene.service.delete_log(&own).await?;
        assert_eq!(scene.read(&of_a).await?, "secret", "{claim}");
    }
    // A's run has the UID that B's record names; so has B's own log record. Each leads to its own.
    let of_b = scene.record("team-b", "run-uid", &path, 6).await?;
    scene.upload(&of_b, "mine").await?;
    assert_eq!(scene.read(&log_name("team-b", "run-uid")).await?, "mine");
    assert_eq!(scene.read(&log_name("team-a", "run-uid")).await?, "secret");
    scene.service.delete_result("team-b", "build").await?;
    assert_eq!(scene.place.keys()?, [path]);
    Ok(())
}

#[rstest]
#[case::file(Kind::File)]
#[case::s3(Kind::S3)]
#[tokio::test(flavor = "multi_thread")]
async fn follows_what_an_older_server_stored(#[case] kind: Kind) -> anyhow::Result<()> {
    let scene = Scene::new(kind).await?;
    scene.result("team-a").await?;
    for name in ["log-1", "log-2", "log-3"] {
        scene.place.plant(&format!("team-a/{name}/build-log"), "old")?;
        scene.record("team-a", name, &format!("team-a/{name}/build-log"), 3).await?;
    }
    let name = |name| log_name("team-a", name);
    assert_eq!(scene.read(&name("log-1")).await?, "old");
    // Sent again, it lies where new ones do, once.
    scene.upload(&name("log-1"), "new").await?;
    assert_eq!(scene.read(&name("log-1")).await?, "new");
    assert!(!scene.place.keys()?.contains(&"team-a/log-1/build-log".to_owned()));
    scene.service.delete_log(&name("log-2")).await?;
    assert!(!scene.place.keys()?.contains(&"team-a/log-2/build-log".to_owned()));
    // Scenario 14, with logs old and new.
    scene.service.delete_result("team-a", "build").await?;
    assert_eq!(scene.place.keys()?, [""; 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_bad_uploads_and_keeps_what_was() -> anyhow::Result<()> {
    let scene = Scene::new(Kind::File).await?;
    scene.result("team-a").await?;
    let name = scene.record("team-a", "log-1", "", 0).await?;
    scene.upload(&name, "good").await?;
    let first = messages(&name, "bad");

    let mixed = first.chain(stream::iter([message("team-a/results/build/logs/log-2", "x")]));
    let error = scene.service.update_log(&name, mixed).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("log-2"), "{error}");

    let broken = messages(&name, "bad").chain(stream::iter([Err(Status::cancelled("the client left"))]));
    let error = scene.service.update_log(&name, broken).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Cancelled, "the client left"));

    let absent = log_name("team-a", "none");
    assert_eq!(scene.upload(&absent, "x").await.unwrap_err().code(), Code::NotFound);
    scene.raw("team-a", "odd", Bytes::from_static(b"[1]")).await?;
    assert_eq!(
        scene.upload(&log_name("team-a", "odd"), "x").await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    // What is no Log can be deleted none the less.
    scene.service.delete_log(&log_name("team-a", "odd")).await?;

    assert_eq!(scene.read(&name).await?, "good");
    assert_eq!(scene.data(&name).await?.status.size, 4);
    assert_eq!(scene.place.remains()?, 0);
    Ok(())
}

/// Nobody would ever find its bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_record_goes_meanwhile_is_not_kept() -> anyhow::Result<()> {
    let scene = Scene::new(Kind::File).await?;
    scene.result("team-a").await?;
    let name = scene.record("team-a", "log-1", "", 0).await?;
    let (store, last) = (scene.store.clone(), message(&name.to_string(), "late"));
    let upload = messages(&name, "early").chain(stream::once(async move {
        store.delete_record("team-a", "build", "log-1").await.unwrap();
        last
    }));
    assert_eq!(scene.service.update_log(&name, upload).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(scene.place.keys()?, [""; 0]);
    Ok(())
}

/// Two who upload the same log, as a watcher does that was taken for dead.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_at_once_both_end() -> anyhow::Result<()> {
    let scene = Scene::new(Kind::File).await?;
    scene.result("team-a").await?;
    let name = scene.record("team-a", "log-1", "", 0).await?;
    let (one, two) = tokio::join!(scene.upload(&name, "the log"), scene.upload(&name, "the log"));
    assert_eq!((one?, two?), (7, 7));
    assert_eq!(scene.data(&name).await?.status.size, 7);
    assert_eq!(scene.read(&name).await?, "the log");
    let row = scene.store.get_record("team-a", "build", "log-1").await?;
    let key = LogKey::new("team-a", &row.result_uid, &row.uid)?;
    assert_eq!(scene.place.keys()?, [key.as_str()]);
    Ok(())
}
