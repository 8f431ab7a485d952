use std::fs;

use super::*;

/// A folder of the test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("loadgrid-grpc-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("deep/er")).unwrap();
    folder
}

fn text(source: &str) -> Result<DescriptorPool, String> {
    let name = "http://127.0.0.1/protos/a.proto?raw=1".to_owned();
    local_pool(&Schema::Proto { name, text: Some(source.into()), import_paths: vec![] }).map(Option::unwrap)
}

fn file(name: impl AsRef<Path>, import_paths: &[PathBuf]) -> Result<DescriptorPool, String> {
    let name = name.as_ref().display().to_string();
    local_pool(&Schema::Proto { name, text: None, import_paths: import_paths.to_vec() }).map(Option::unwrap)
}

#[test]
fn the_server_is_not_asked_here() {
    assert!(local_pool(&Schema::Reflection).unwrap().is_none());
}

#[test]
fn a_text_is_a_schema() {
    let pool = text(
        "syntax = 'proto3'; import 'google/protobuf/timestamp.proto'; message A { google.protobuf.Timestamp t = 1; }",
    );
    assert!(pool.unwrap().get_message_by_name("A").is_some());
}

#[test]
fn imports_are_found() {
    let own = folder("imports");
    fs::write(own.join("deep/er/b.proto"), "syntax = 'proto3'; message B {}").unwrap();
    fs::write(own.join("deep/beside.proto"), "syntax = 'proto3'; message Beside {}").unwrap();
    let source = "syntax = 'proto3'; import 'er/b.proto'; import 'google/protobuf/any.proto'; message A { B b = 1; google.protobuf.Any c = 2; }";
    fs::write(own.join("a.proto"), source).unwrap();
    fs::write(own.join("deep/d.proto"), "syntax = 'proto3'; import 'beside.proto'; message D { Beside b = 1; }")
        .unwrap();
    let deep = own.join("deep");
    // As it is, below an import path, below one that is written in a roundabout way, beside the file itself.
    for pool in [
        file(own.join("a.proto"), std::slice::from_ref(&deep)),
        file("a.proto", &[deep.clone(), own.clone()]),
        file("a.proto", &[own.join("deep/../deep"), own.join(".")]),
    ] {
        assert!(pool.unwrap().get_message_by_name("B").is_some());
    }
    assert!(file("deep/d.proto", std::slice::from_ref(&own)).unwrap().get_message_by_name("Beside").is_some());
    let import_paths = vec![deep];
    let fetched = local_pool(&Schema::Proto { name: "u".into(), text: Some(source.into()), import_paths });
    assert!(fetched.unwrap().unwrap().get_message_by_name("B").is_some());
    let missing = file(own.join("a.proto"), &[]).unwrap_err();
    assert_eq!(
        missing,
        "a.proto:1:20: import 'er/b.proto' not found: add the folder that it is relative to to importPaths, or give a protoset"
    );
    assert!(file("nope.proto", &[]).unwrap_err().contains("there is no file nope.proto"));
    assert!(file("a.proto", &[own.clone(), own.join("nope")]).unwrap_err().starts_with("importPaths: "));
    fs::remove_dir_all(own).unwrap();
}

#[test]
fn what_is_wrong_has_its_place() {
    let cases = [
        ("syntax = 'proto3';\nmessage A {\n  string a 1;\n}", "a.proto:3:12: expected '=', but found '1'"),
        ("syntax = 'proto3';\nmessage A {\n  Foo a = 1;\n}", "a.proto:3:3: name 'Foo' is not defined"),
        (
            "edition = \"2023\";\nmessage A {}",
            "a.proto:1:1: this file is written in a protobuf edition, which is not supported",
        ),
        ("syntax = 'proto4';", "a.proto:1:10: "),
        ("<!DOCTYPE html>", "a.proto:1:1: "),
    ];
    for (source, expected) in cases {
        let error = text(source).unwrap_err();
        assert!(error.starts_with(expected) && !error.contains('\n'), "{source}: {error}");
    }
}

#[test]
fn sources_pass_on_what_they_import_publicly() {
    let own = folder("public");
    let files = [
        ("a.proto", "syntax = 'proto3'; import 'c.proto'; message A { B b = 1; }"),
        ("c.proto", "syntax = 'proto3'; import public 'd.proto'; // no line's end"),
        ("d.proto", "syntax = 'proto3'; import public 'e.proto';"),
        ("e.proto", "syntax = 'proto3'; import public 'b.proto';"),
        ("b.proto", "syntax = 'proto3'; message B {}"),
        ("circle.proto", "syntax = 'proto3'; import public 'back.proto';"),
        ("back.proto", "syntax = 'proto3'; import public 'circle.proto';"),
    ];
    for (name, source) in files {
        fs::write(own.join(name), source).unwrap();
    }
    for name in ["a.proto", "c.proto"] {
        assert!(file(own.join(name), &[]).unwrap().get_message_by_name("B").is_some(), "{name}");
    }
    assert!(file(own.join("circle.proto"), &[]).unwrap_err().contains("cycle"));
    fs::remove_dir_all(own).unwrap();
}

fn encoded(files: &[FileDescriptorProto]) -> Vec<u8> {
    FileDescriptorSet { file: files.to_vec() }.encode_to_vec()
}

fn set(bytes: Vec<u8>) -> Result<DescriptorPool, String> {
    local_pool(&Schema::Protoset(bytes)).map(Option::unwrap)
}

/// Two files, one of which imports the other and what many sets leave out.
fn two() -> [FileDescriptorProto; 2] {
    let descriptor = |name: &str, imports: &[&str]| FileDescriptorProto {
        name: Some(name.into()),
        dependency: imports.iter().map(|name| (*name).to_owned()).collect(),
        message_type: vec![DescriptorProto { name: Some(name.to_uppercase().replace('.', "_")), ..Default::default() }],
        syntax: Some("proto3".into()),
        ..Default::default()
    };
    [descriptor("a.proto", &["b.proto", "google/protobuf/api.proto"]), descriptor("b.proto", &[])]
}

#[test]
fn a_protoset_is_a_schema() {
    let [a, b] = two();
    let pool = set(encoded(&[a.clone(), b.clone(), a.clone()])).unwrap();
    assert!(
        pool.get_message_by_name("A_PROTO").is_some() && pool.get_message_by_name("google.protobuf.Option").is_some()
    );
    assert!(
        set(encoded(&[a])).unwrap_err().starts_with("the protoset lacks b.proto, which another of its files imports")
    );
    assert!(set(vec![]).unwrap_err().contains("holds no files"));
    assert!(set(b"syntax = 'proto3';".to_vec()).unwrap_err().contains("no set of descriptors"));
}

#[test]
fn descriptors_that_would_end_the_process_are_refused() {
    let [_, plain] = two();
    for syntax in ["editions", "proto4"] {
        let edition = FileDescriptorProto { syntax: Some(syntax.into()), ..plain.clone() };
        let error = set(encoded(&[edition])).unwrap_err();
        assert!(error.contains(&format!("b.proto is written in protobuf {syntax}, which is not supported")), "{error}");
    }
    let mut entry = plain.clone();
    entry.message_type[0].options = Some(prost_types::MessageOptions { map_entry: Some(true), ..Default::default() });
    assert!(set(encoded(&[entry])).unwrap_err().contains("calls the message B_PROTO a map's entry"));
}

#[test]
fn public_imports_are_followed() {
    let field = |kind: &str| prost_types::FieldDescriptorProto {
        name: Some("f".into()),
        number: Some(1),
        label: Some(Label::Optional as i32),
        type_name: Some(kind.into()),
        ..Default::default()
    };
    let [mut a, b] = two();
    let public = |name: &str, import: &str| {
        let file =
            FileDescriptorProto { name: Some(name.into()), dependency: vec![import.into()], ..Default::default() };
        FileDescriptorProto { public_dependency: vec![0], ..file }
    };
    a.dependency = vec!["c.proto".into()];
    a.message_type[0].field = vec![field(".B_PROTO")];
    let chain = [public("c.proto", "d.proto"), public("d.proto", "e.proto"), public("e.proto", "b.proto")];
    let pool = set(encoded(&[&[a.clone(), b.clone()][..], &chain].concat())).unwrap();
    assert!(pool.get_message_by_name("A_PROTO").unwrap().get_field(1).unwrap().kind().as_message().is_some());
    // A circle ends.
    let circle = [public("c.proto", "d.proto"), public("d.proto", "c.proto"), public("e.proto", "e.proto")];
    assert!(set(encoded(&[&[a, b][..], &circle].concat())).unwrap_err().contains("B_PROTO"));
}
