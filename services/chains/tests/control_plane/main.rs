//! The acceptance scenarios of the specification (section 10): the service's own code, with its own ServiceAccount, against a real
//! API server and a registry that is played. Their numbers are in the names of the tests. Runs are made and ended by the tests:
//! no engine is needed to sign what has ended.

mod crash;
mod deletion;
mod faults;
mod many;
mod registry;
mod rights;
mod runs;
mod service;
mod settings;
mod sign;
mod transparency;
mod trouble;
