//! The acceptance scenarios of the specification (section 10) but the 16th, which is of those who ask: the service's own code between two
//! API servers, with its ServiceAccount in each. Their numbers are in the names of the tests. Runs are played.

mod crash;
mod everywhere;
mod faults;
mod lasting;
mod many;
mod requests;
mod rights;
mod service;
