//! `sprayproxy deliveries`: what was given up, for the administrator who has to have it sent again.

use spool::{Outcome, Outcomes, Query, Retention};

use crate::args::DeliveriesArgs;

/// Why nothing is printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("--spool-dir {path}: holds no outcomes; is it the folder of `sprayproxy server`?", path = path.display())]
    Read { path: std::path::PathBuf, source: std::io::Error },
    #[error("write to standard output")]
    Write(#[source] std::io::Error),
}

/// Prints outcomes, one JSON object per line. Beside a running server, whose files are only read.
pub(crate) fn print(args: &DeliveriesArgs) -> Result<(), Error> {
    let folder = args.spool_dir.join("outcomes");
    let failed = |source| Error::Read { path: args.spool_dir.clone(), source };
    // Opening makes the folder, which would hide a wrong path.
    std::fs::metadata(&folder).map_err(failed)?;
    let outcomes = Outcomes::open(&folder, Retention::default()).map_err(failed)?;
    let labels = args.delivery.iter().map(|id| ("delivery".to_owned(), id.clone())).collect();
    let query = Query { labels, limit: args.limit, ..Query::default() };
    let mut out = std::io::stdout().lock();
    for outcome in outcomes.search(&query).map_err(failed)? {
        write(&mut out, &outcome).map_err(Error::Write)?;
    }
    Ok(())
}

fn write(out: &mut impl std::io::Write, outcome: &Outcome) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, outcome)?;
    out.write_all(b"\n")
}
