//! The acceptance scenarios of the specification (section 10) for registry mode: the service's own code, with its own
//! ServiceAccount, against a real API server. Their numbers are in the names of the tests.

mod applications;
mod components;
mod crash;
mod faults;
mod many;
mod nudges;
mod quiet;
mod rights;
mod service;
