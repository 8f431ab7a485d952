//! What the demo service speaks over gRPC. Sessions know nothing of it.

/// Messages and service of `loadgrid/demo/v1/demo.proto`.
#[allow(clippy::all, missing_docs)]
pub mod v1 {
    tonic::include_proto!("loadgrid.demo.v1");
}

/// Messages and service of `helloworld/helloworld.proto`.
#[allow(clippy::all, missing_docs)]
pub mod helloworld {
    tonic::include_proto!("helloworld");
}

/// Both as an encoded `FileDescriptorSet`: what reflection tells.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("demo");
