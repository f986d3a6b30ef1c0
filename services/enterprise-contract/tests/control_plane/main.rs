//! The controller of policies, and what `ec` reads of a cluster: our own code, with the rights of the base, against a real API
//! server. Numbers of the specification's acceptance scenarios (section 10) are in the names of the tests.

mod crash;
mod ec;
mod faults;
mod policies;
mod quiet;
mod rights;
mod service;
