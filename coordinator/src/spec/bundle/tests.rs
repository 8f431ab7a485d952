use std::path::PathBuf;

use super::*;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("loadgrid-bundle-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

const HEAD: &str = "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {name: t}\nspec:\n";

fn travelled(bundle: &Bundle) -> Bundle {
    serde_json::from_str(&serde_json::to_string(bundle).unwrap()).unwrap()
}

#[test]
fn files_and_secrets_travel_and_nothing_else_is_read() {
    let home = folder("home");
    fs::write(home.join("body.json"), "{\"a\":1}").unwrap();
    fs::write(home.join("rows.csv"), "id\n1\n2\n").unwrap();
    fs::write(home.join("token"), "s3cret\n").unwrap();
    let token = home.join("token").display().to_string();
    let text = format!(
        "{HEAD}  requests:\n    - http: {{url: 'http://h/{{{{row.id}}}}', method: POST, headers: {{A: 'Bearer ${{file:{token}}}'}}, \
         body: {{file: body.json}}}}\n  feeds: {{row: {{csv: rows.csv}}}}\n  load: {{rate: 10/s, duration: 1s}}\n"
    );
    let name = home.join("test.yaml").display().to_string();
    let here = crate::spec::load(Some((&name, &text)), Draft::default());
    let bundle = travelled(&pack(Some((&name, &text)), Draft::default()).unwrap());
    fs::remove_dir_all(&home).unwrap();
    let there = folder("there");
    let test = bundle.unpack(&there).unwrap();
    let here = here.unwrap();
    assert_eq!(format!("{:?}", test.requests), format!("{:?}", here.requests));
    assert_eq!(format!("{:?}", test.feeds), format!("{:?}", here.feeds));
    assert_eq!(test.requests[0].headers[0].1, "Bearer s3cret");
    assert!(!there.exists(), "nothing is left");
}

#[test]
fn a_test_without_a_namespace_is_at_home_where_its_coordinator_is() {
    let of = |metadata: &str| {
        let text = HEAD.replace("{name: t}", metadata)
            + "  ready: [{ksvc: hello}]\n  requests: [{http: {}}]\n  load: {rate: 10/s, duration: 1s}\n";
        let bundle = pack(Some(("t.yaml", &text)), Draft::default()).unwrap();
        let test = travelled(&bundle).at_home_in("loadgrid").unpack(&folder("home-in")).unwrap();
        // What the queue and the leases go by is what the cluster is asked for.
        (test.objects[0].namespace.clone().unwrap(), test.requests[0].host.clone())
    };
    assert_eq!(of("{name: t}"), ("loadgrid".to_owned(), "hello.loadgrid.svc.cluster.local".to_owned()));
    assert_eq!(of("{name: t, namespace: shop}"), ("shop".to_owned(), "hello.shop.svc.cluster.local".to_owned()));
}

#[test]
fn mistakes_keep_their_place() {
    let text = format!(
        "{HEAD}  requests:\n    - http: {{url: 'http://h/'}}\n  load: {{rate: 10, duration: 1s}}\n  slos: ['x']\n"
    );
    let error = pack(Some(("t.yaml", &text)), Draft::default()).unwrap().unpack(&folder("place")).unwrap_err();
    assert!(error.to_string().starts_with("t.yaml:"), "{error}");
}

#[test]
fn a_bundle_can_not_read_the_coordinators_files() {
    let text = format!(
        "{HEAD}  requests:\n    - http: {{url: 'http://h/', body: {{file: x}}}}\n  load: {{rate: 1/s, duration: 1s}}\n"
    );
    let home = folder("evil");
    fs::write(home.join("x"), "x").unwrap();
    let name = home.join("t.yaml").display().to_string();
    let bundle = pack(Some((&name, &text)), Draft::default()).unwrap();
    for path in ["/etc/passwd", "../1-x", "other"] {
        let mut value = serde_json::to_value(&bundle).unwrap();
        value["draft"]["requests"][0]["body"]["source"]["File"] = path.into();
        let forged: Bundle = serde_json::from_value(value).unwrap();
        let error = forged.unpack(&folder("evil-there")).unwrap_err().to_string();
        assert!(error.contains("did not come with the test"), "{error}");
    }
    let mut value = serde_json::to_value(&bundle).unwrap();
    value["files"] = serde_json::json!({"../1-x": ""});
    value["draft"]["requests"][0]["body"]["source"]["File"] = "../1-x".into();
    let forged: Bundle = serde_json::from_value(value).unwrap();
    assert!(forged.unpack(&folder("evil-there")).unwrap_err().to_string().contains("no plain name"));
    fs::remove_dir_all(home).unwrap();
}

#[test]
fn protos_travel_as_their_descriptors() {
    let home = folder("protos");
    fs::write(home.join("base.proto"), "syntax = \"proto3\"; package p; message A { string n = 1; }").unwrap();
    let service = "syntax = \"proto3\"; package p; import \"base.proto\"; service S { rpc Do(A) returns (A); }";
    fs::write(home.join("s.proto"), service).unwrap();
    let text = format!(
        "{HEAD}  requests:\n    - grpc: {{target: 'h:1', call: p.S/Do, proto: s.proto, data: {{n: x}}}}\n  load: {{rate: 1/s, duration: 1s}}\n"
    );
    let name = home.join("t.yaml").display().to_string();
    let here = crate::spec::load(Some((&name, &text)), Draft::default()).unwrap();
    let bundle = travelled(&pack(Some((&name, &text)), Draft::default()).unwrap());
    fs::remove_dir_all(&home).unwrap();
    let there = bundle.unpack(&folder("protos-there")).unwrap();
    assert_eq!(format!("{:?}", here.requests), format!("{:?}", there.requests));
}

#[test]
fn a_resource_sees_mounted_files_alone() {
    let mounted = folder("mounted");
    fs::create_dir_all(mounted.join("api")).unwrap();
    fs::write(mounted.join("api/body"), "b").unwrap();
    let with = |path: &str| {
        format!(
            "{HEAD}  requests:\n    - http: {{url: 'http://h/', body: {{file: '{path}'}}}}\n  load: {{rate: 1/s, duration: 1s}}\n"
        )
    };
    assert_eq!(of_resource("default/t", &with("api/body"), &mounted).unwrap().requests[0].body, b"b");
    let error = of_resource("default/t", &with("/etc/passwd"), &mounted).unwrap_err().to_string();
    assert!(error.contains("default/t:") && error.contains("NAME/KEY"), "{error}");
    fs::remove_dir_all(mounted).unwrap();
}

#[test]
fn a_resource_takes_what_is_mounted_and_nothing_else_of_whoever_packs_it() {
    let mounted = folder("packed");
    fs::create_dir_all(mounted.join("api")).unwrap();
    fs::write(mounted.join("api/token"), "m\n").unwrap();
    let outside = folder("outside").join("key.pem");
    fs::write(&outside, "k").unwrap();
    let of = |header: &str, body: &str| {
        let text = format!(
            "{HEAD}  requests:\n    - http: {{url: 'http://h/', method: POST, headers: {{A: '{header}'}}, body: {{file: {body}}}}}\n  \
             load: {{rate: 10/s, duration: 1s}}\n"
        );
        pack_resource("shop/hello", &text, &mounted)
    };
    let test = travelled(&of("${file:api/token}", "api/token").unwrap()).unpack(&folder("packed-there")).unwrap();
    assert_eq!(test.requests[0].headers[0].1, "m");
    let outside = outside.display().to_string();
    for (header, body) in [
        ("x", outside.as_str()),
        ("x", "../outside/key.pem"),
        ("x", "/proc/self/environ"),
        (&*format!("${{file:{outside}}}"), "api/token"),
        ("${file:../secret}", "api/token"),
        ("${env:PATH}", "api/token"),
    ] {
        let error = of(header, body).unwrap_err().to_string();
        assert!(error.contains("NAME/KEY") && error.contains("shop/hello"), "{header} {body}: {error}");
    }
    fs::remove_dir_all(mounted).unwrap();
}
