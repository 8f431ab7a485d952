//! Schemas of gRPC services: what is accepted can be walked through.

use loadgrid::grpc::{Schema, kind, local_pool, path};

/// An encoded `FileDescriptorSet`.
pub fn protoset(data: &[u8]) {
    schema(&Schema::Protoset(data.to_vec()));
}

/// The source of a `.proto` file that came from a URL.
pub fn proto_source(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    schema(&Schema::Proto {
        name: "http://host/schema.proto".to_owned(),
        text: Some(text.to_owned()),
        import_paths: Vec::new(),
    });
}

fn schema(schema: &Schema) {
    match local_pool(schema) {
        Ok(pool) => {
            let pool = pool.expect("one that needs no server");
            for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
                kind(&method);
                assert!(path(&method).starts_with('/'));
                let fields = method.input().fields().count() + method.output().fields().count();
                assert!(fields < usize::MAX);
            }
        }
        Err(error) => assert!(!error.trim().is_empty()),
    }
}
