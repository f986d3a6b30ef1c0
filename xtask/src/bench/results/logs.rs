//! A log that is larger than the memory it may take, stored on a volume and read again.
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use serde_json::json;

use super::setup::{Api, Setup};
use crate::bench::{
    table::Table,
    units::{count, mebibytes},
};

/// Bytes of a message, as the watcher sends them.
const PIECE: usize = 32 << 10;
const OF_A_MEBIBYTE: usize = (1 << 20) / PIECE;
const LOG: &str = "results.tekton.dev/v1alpha2.Log";
const RESULT: &str = "long-log";
const AIM: &str = "≤ 40 MiB, whatever its size";

/// By an API that did nothing before.
pub(super) async fn measure(
    setup: &Setup<'_>,
    api: &Api,
    mebibytes_of_log: usize,
    table: &mut Table,
) -> anyhow::Result<()> {
    setup.create_result(api, RESULT).await?;
    let mut client = setup.client(api)?;
    let tenant = &setup.tenant;
    let result = format!("{tenant}/results/{RESULT}");
    let run = json!({"kind": "TaskRun", "namespace": tenant.name(), "name": "long", "uid": "uid-of-long"});
    let document = json!({
        "apiVersion": "results.tekton.dev/v1alpha2", "kind": "Log", "spec": {"resource": run, "type": "File"},
    });
    client.create_record(&result, "log", LOG, document.to_string().as_bytes()).await?;
    let name = format!("{result}/logs/log");

    let line =
        b"[build : compile] one of a great many lines that a compiler has to say about somebody's program\n";
    let piece: Vec<u8> = line.iter().copied().cycle().take(PIECE).collect();
    let times = mebibytes_of_log * OF_A_MEBIBYTE;
    let mut expected = digest::Context::new(&digest::SHA256);
    for _ in 0..times {
        expected.update(&piece);
    }
    let expected = expected.finish();
    let before = api.memory()?;
    let rate = |took: Duration| format!("{:.0} MiB/s", count(mebibytes_of_log) / took.as_secs_f64());

    let began = Instant::now();
    client.update_log(&name, &piece, times).await?;
    let stored = began.elapsed();
    let peak = api.peak_memory()?;
    table.row(format!("log of {mebibytes_of_log} MiB: stored in a file"), "", rate(stored));
    table.row("… memory before, and at most", AIM, format!("{}, {}", mebibytes(before), mebibytes(peak)));

    let began = Instant::now();
    let (length, hash) = client.get_log(&name).await?;
    let read = began.elapsed();
    anyhow::ensure!(length == times * PIECE, "{length} bytes were read of {}", times * PIECE);
    anyhow::ensure!(hash.as_ref() == expected.as_ref(), "what was read is not what was stored");
    table.row("… read again, each byte compared", "", rate(read));
    table.row("… memory at most", AIM, mebibytes(api.peak_memory()?));
    Ok(())
}
