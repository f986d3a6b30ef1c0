//! Bitbucket: Cloud and Server (Data Center), two programs with one name.

mod cloud;
mod server;

pub(crate) use cloud::Cloud;
pub(crate) use server::Server;
