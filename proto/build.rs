//! Compiles the protos with protox: no protoc has to be installed.

use std::path::PathBuf;

/// What the demo service speaks; it also tells it by reflection.
const DEMO: [&str; 2] = ["loadgrid/demo/v1/demo.proto", "helloworld/helloworld.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=loadgrid");
    println!("cargo:rerun-if-changed=helloworld");
    let files = protox::compile(["loadgrid/v1/grid.proto"], ["."])?;
    tonic_prost_build::configure().compile_fds(files)?;

    let mut demo = protox::Compiler::new(["."])?;
    demo.include_imports(true).include_source_info(true).open_files(DEMO)?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("demo.bin"), demo.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(demo.file_descriptor_set())?;
    Ok(())
}
