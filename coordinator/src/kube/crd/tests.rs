use super::*;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
const CHARTS: &str = include_str!("../../../../charts/loadgrid/crds/loadtests.yaml");

/// What the API server makes of the schema: texts are numbers or texts, keys that are not named are not taken.
fn strict(schema: &Value) -> Value {
    let Some(map) = schema.as_object() else { return schema.clone() };
    if map.get("x-kubernetes-int-or-string").is_some() {
        return json!({ "type": ["integer", "string"] });
    }
    if map.get("x-kubernetes-preserve-unknown-fields").is_some() {
        return json!(true);
    }
    let mut made = map.clone();
    if let Some(Value::Object(properties)) = map.get("properties") {
        let strict: Map<String, Value> = properties.iter().map(|(key, value)| (key.clone(), strict(value))).collect();
        made.insert("properties".to_owned(), strict.into());
        made.insert("additionalProperties".to_owned(), false.into());
    }
    for key in ["items", "additionalProperties"] {
        if let Some(value) = map.get(key) {
            made.insert(key.to_owned(), strict(value));
        }
    }
    made.into()
}

fn validator() -> jsonschema::Validator {
    let mut schema = strict(&schema());
    schema["properties"]["metadata"] = json!({ "type": "object" });
    jsonschema::validator_for(&schema).unwrap()
}

fn read(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn every_example_is_a_resource() {
    let validator = validator();
    let mut examples = 0;
    for entry in std::fs::read_dir(EXAMPLES).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains("\nkind: LoadTest") {
            continue;
        }
        let errors: Vec<String> = validator.iter_errors(&read(&text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        examples += 1;
    }
    assert!(examples > 15, "{examples}");
}

#[test]
fn what_the_reader_takes_the_schema_takes() {
    let validator = validator();
    for spec in [
        "{requests: [{name: 7, weight: 3, http: {url: 'http://a/', version: 1.1, headers: {a: 1.5, b: true, c: x}}}], load: {rate: 500}}",
        "{requests: [{http: {url: 'http://a/', errorStatuses: [404, 500-599]}, checks: [{status: 201}, {json: /a, equals: [1, {b: null}]}]}]}",
        "{requests: [{grpc: {target: 'a:1', call: b/C, data: [{x: 1}], metadata: {n: 1}}}], load: {seed: 7, maxBody: '1_000', connections: auto}}",
        "{requests: [{steps: [{http: {url: 'http://a/'}, capture: {t: json /t}}]}], versions: {a: {url: 'http://a', baseline: true}}}",
        "{requests: [{http: {url: 'http://a/', body: {json: null}}}], workers: 2, capacity: {max: 5k/s, budget: 10m}, trigger: {ksvc: hello}, suspend: true, rerun: 7}",
    ] {
        let test =
            read(&format!("{{apiVersion: {GROUP}/{VERSION}, kind: {KIND}, metadata: {{name: a}}, spec: {spec}}}"));
        let errors: Vec<String> = validator.iter_errors(&test).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{spec}: {errors:?}");
    }
}

#[test]
fn what_is_no_key_is_not_taken() {
    let validator = validator();
    for spec in [
        "{requests: [], laod: {}}",
        "{requests: [{http: {url: 'http://a/', metod: GET}}]}",
        "{requests: [{steps: [{steps: []}]}]}",
        "{load: {}}",
        "{requests: [{http: {url: 7}}]}",
        "{requests: [{http: {url: 'http://a/', body: {text: [a]}}}]}",
        "{requests: [{http: {url: 'http://a/'}}], trigger: {deploy: a}}",
        "{requests: [{http: {url: 'http://a/'}}], workers: 0}",
    ] {
        let test =
            read(&format!("{{apiVersion: {GROUP}/{VERSION}, kind: {KIND}, metadata: {{name: a}}, spec: {spec}}}"));
        assert!(!validator.is_valid(&test), "{spec}");
    }
}

/// The rules of apiextensions v1 for a structural schema.
fn assert_structural(schema: &Value, place: &str) {
    let map = schema.as_object().unwrap();
    for key in map.keys() {
        let known = [
            "type",
            "description",
            "format",
            "enum",
            "properties",
            "required",
            "items",
            "minItems",
            "maxItems",
            "minLength",
            "minimum",
            "additionalProperties",
            "maxProperties",
            "x-kubernetes-int-or-string",
            "x-kubernetes-preserve-unknown-fields",
            "x-kubernetes-validations",
            "x-kubernetes-list-type",
            "x-kubernetes-list-map-keys",
        ];
        assert!(known.contains(&key.as_str()), "{place}: {key}");
    }
    let untyped = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"];
    let typed = map.get("type").is_some_and(Value::is_string);
    assert!(typed != untyped.iter().any(|key| map.contains_key(*key)), "{place}");
    assert!(!(map.contains_key("properties") && map.contains_key("additionalProperties")), "{place}");
    for (key, value) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
        assert_structural(value, &format!("{place}.{key}"));
    }
    for key in ["items", "additionalProperties"] {
        map.get(key).into_iter().for_each(|value| assert_structural(value, &format!("{place}.{key}")));
    }
}

#[test]
fn the_schema_is_structural_and_has_the_keys_of_file_and_resource() {
    let schema = schema();
    assert_structural(&schema, "");
    let has = |place: &str| assert!(schema.pointer(place).is_some(), "{place}");
    let spec = "/properties/spec/properties";
    for key in ["requests", "load", "slos", "trigger/properties/ksvc", "workers", "capacity", "suspend", "rerun"] {
        has(&format!("{spec}/{key}"));
    }
    for rules in ["requests/items", "requests/items/properties/steps/items", "load", "versions"] {
        has(&format!("{spec}/{rules}/x-kubernetes-validations"));
    }
    has(&format!("{spec}/requests/items/properties/steps/items/properties/http/properties/url"));
    let of_status = schema.pointer("/properties/status/properties").and_then(Value::as_object).unwrap();
    let rate = of_status.get("rate").and_then(|rate| rate.get("type"));
    assert_eq!(rate, Some(&json!("string")));
    // Whatever a key is for is said: it is what `kubectl explain` shows.
    let load = schema.pointer(&format!("{spec}/load/properties")).and_then(Value::as_object).unwrap();
    assert!(load.values().all(|key| key.get("description").is_some_and(Value::is_string)));
}

#[test]
fn a_key_is_the_file_s_or_the_resource_s() {
    let of_file = spec::schema();
    let of_file = of_file.get("properties").and_then(Value::as_object).unwrap();
    let of_resource = schemars::schema_for!(Only);
    let of_resource = of_resource.get("properties").and_then(Value::as_object).unwrap();
    let twice: Vec<&String> = of_resource.keys().filter(|key| of_file.contains_key(*key)).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn file_and_resource_go_by_the_same_name() {
    assert_eq!((format!("{GROUP}/{VERSION}").as_str(), KIND), (spec::API_VERSION, spec::KIND));
}

#[test]
fn its_yaml_says_the_same() {
    assert_eq!(read(&yaml().unwrap()), crd());
}

#[test]
fn the_chart_has_it() {
    let again = "write it again: loadgrid crd > charts/loadgrid/crds/loadtests.yaml";
    assert_eq!(read(CHARTS), crd(), "{again}");
}
