//! The steps as they run in a pod: the program itself, with the rights that an account of a release pipeline has, against a real API
//! server.

mod collect;
mod collectors;
mod requests;
mod status;
mod world;
