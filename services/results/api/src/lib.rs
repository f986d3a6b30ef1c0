//! The public API of Tekton Results: messages, services and their client, names, types of records, and the keys that
//! the archive of runs writes on them.
//!
//! ```text
//! proto/*.proto ─ build.rs ─▶ v1alpha2, lister ── json: the same messages as REST bodies
//!                             names: what stands in `name` and `parent`    types, log: what stands in `data`
//! ```

pub mod annotations;
pub mod client;
mod json;
pub mod log;
pub mod names;
pub mod timestamp;
pub mod types;

pub use json::{structure, values};

/// Messages and services, in modules as deep as their packages: the generated code refers from one to another.
#[expect(clippy::pedantic, unreachable_pub, reason = "generated")]
mod generated {
    pub mod google {
        pub mod api {
            tonic::include_proto!("google.api");
        }
    }
    pub mod tekton {
        pub mod results {
            pub mod v1alpha2 {
                tonic::include_proto!("tekton.results.v1alpha2");
            }
            pub mod lister {
                tonic::include_proto!("tekton.results.lister");
            }
        }
    }
}

pub use generated::{
    google::api::HttpBody,
    tekton::results::{lister, v1alpha2},
};

/// All files of the API as an encoded `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
