//! Deliveries on disk, until everybody they are meant for has taken them.
//!
//! ```text
//!          put                    next                  done ──▶ file removed
//! accept ──────▶ pending/<id> ──────────▶ Lease ──┬──── retry ─▶ back-off, next again ─┐
//!                one file per delivery            └──── bury ─┬─▶ outcomes/<n>         │
//!                                    age, attempts ───────────┴────────────────────────┘
//! ```
//! - **Durable** means: written, not fsynced. What [`Spool::put`] has answered survives the death of the process, SIGKILL
//!   included; a machine that loses power may lose the last seconds.
//! - **One file per delivery**: the delivery, and after it what became of it, one record each. A record has its length and
//!   a checksum, so that one that was not written to its end is recognised at the next start, and cut off.
//! - **Consumers** (sprayproxy: back ends; pipelines-as-code: itself) each have their own progress: one that is down
//!   keeps nobody else's deliveries. A consumer that nobody asks for any more keeps its deliveries until they are too old.
//! - **Bounded** in bytes, number and age. When full, [`Spool::put`] says so, and the caller refuses what it was given.
//! - **A delivery is taken at least once.** A crash between the work and [`Lease::done`] repeats it.
//! - **Outcomes** are kept beside it for a week, to be looked up by delivery or label: those that the spool gave up, and
//!   those that its user records.
//!
//! A folder belongs to one process at a time.

mod files;
mod lease;
mod outcomes;
mod queue;
mod record;
mod spool;

pub use lease::{Lease, Retried};
pub use outcomes::{Outcome, Outcomes, Query, Retention};
pub use queue::{Backoff, Limits};
pub use spool::{Delivery, First, OpenError, Put, PutError, Spool, Stats, To};
