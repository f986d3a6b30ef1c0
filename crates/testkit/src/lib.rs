//! What tests of every service are written with: a real Kubernetes API, clients with real rights, waits that explain
//! their failure, a ledger of API calls, object builders, stand-ins for the kubelet and the pipelines engine, and the
//! certificates and programs all this needs.

pub mod builders;
mod control_plane;
pub mod crd;
pub mod docker_registry;
pub mod drill;
pub mod engine;
pub mod faults;
pub mod forge;
mod fuzz;
pub mod git_server;
pub mod gitea;
pub mod gitops;
mod install;
pub mod kubelet;
pub mod ledger;
pub mod manifests;
pub mod pki;
mod played;
mod port;
pub mod postgres;
pub mod quay;
pub mod rbac;
pub mod registry;
pub mod s3;
pub mod tools;
pub mod wait;
pub mod world;

pub use self::control_plane::{ControlPlane, Namespace, Options, user_name};
pub use self::engine::{PlayedChains, PlayedEngine};
pub use self::fuzz::fuzz;
pub use self::install::{Installed, Webhooks, compare_rules};
pub use self::kubelet::PlayedKubelet;
pub use self::port::free_port;
pub use self::wait::{DEADLINE, eventually, has_condition, wait_for, wait_gone};
pub use self::world::World;
