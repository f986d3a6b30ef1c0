//! The real database that tests get.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use testkit::postgres::{Database, Postgres};

async fn query(server: &Postgres, database: &Database, text: &str) -> String {
    let address =
        format!("{}?sslmode=verify-full&sslrootcert={}", database.url(), database.authority().display());
    let words =
        ["--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command", text, &address];
    server.run("psql", &words).await.unwrap().trim().to_owned()
}

#[tokio::test]
async fn databases_of_tests_are_empty_and_apart() {
    let server = Postgres::shared().await.unwrap();
    let (one, other) = (Postgres::database().await.unwrap(), Postgres::database().await.unwrap());
    assert_ne!(one.name(), other.name());
    query(server, &one, "CREATE TABLE words (word text)").await;
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(query(server, &one, tables).await, "1");
    assert_eq!(query(server, &other, tables).await, "0");
    assert_eq!(query(server, &one, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").await, "t");
}

#[tokio::test]
async fn what_is_committed_is_there_after_a_stop_and_after_a_kill() {
    let server = Postgres::start().await.unwrap();
    let database = server.create_database().await.unwrap();
    query(&server, &database, "CREATE TABLE numbers (number int)").await;
    query(&server, &database, "INSERT INTO numbers VALUES (1)").await;

    server.stop().await.unwrap();
    server.run("psql", &["--command", "SELECT 1", &database.url()]).await.unwrap_err();
    server.start_again().await.unwrap();
    query(&server, &database, "INSERT INTO numbers VALUES (2)").await;

    server.kill();
    server.run("psql", &["--command", "SELECT 1", &database.url()]).await.unwrap_err();
    server.start_again().await.unwrap();
    assert_eq!(query(&server, &database, "SELECT sum(number) FROM numbers").await, "3");
}
