//! Compiles loadgrid/v1 with protox: no protoc has to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=loadgrid/v1/grid.proto");
    let files = protox::compile(["loadgrid/v1/grid.proto"], ["."])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
