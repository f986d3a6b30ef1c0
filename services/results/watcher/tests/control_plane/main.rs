//! The acceptance scenarios of the specification (section 10) that the watcher has a part in: its own code, with its own
//! ServiceAccount, against a real API server and an archive that is played. Their numbers are in the names of the tests. Runs are
//! made and ended by the tests: no engine is needed to archive what has ended.

mod api;
mod crash;
mod deletion;
mod drill;
mod kubelet;
mod logs;
mod prune;
mod rights;
mod runs;
mod service;
mod store;
