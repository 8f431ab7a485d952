use loadgrid_worker::client::feed::{Feed, Order};
use loadgrid_worker::client::grpc::Payload;
use loadgrid_worker::client::template::{Draw, Names};
use proptest::prelude::*;
use prost_reflect::DescriptorPool;
use serde_json::json;

use super::super::schema::{Schema, local_pool};
use super::*;

const PROTO3: &str = r#"syntax = "proto3";
package t;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Colour { GREY = 0; RED = 1; GREEN = 2; }
message All {
  double f_double = 1; float f_float = 2; int32 f_int32 = 3; int64 f_int64 = 4; uint32 f_uint32 = 5;
  uint64 f_uint64 = 6; sint32 f_sint32 = 7; sint64 f_sint64 = 8; fixed32 f_fixed32 = 9; fixed64 f_fixed64 = 10;
  sfixed32 f_sfixed32 = 11; sfixed64 f_sfixed64 = 12; bool f_bool = 13; string f_string = 14; bytes f_bytes = 15;
  Colour colour = 16; All child = 17; repeated All children = 18;
  repeated int32 numbers = 19; repeated string tags = 20; repeated sint64 deltas = 21; repeated double reals = 22;
  repeated Colour colours = 23; repeated int32 apart = 24 [packed = false];
  map<string, string> labels = 25; map<int32, All> by_id = 26; map<bool, sint32> by_truth = 27;
  map<string, google.protobuf.Value> by_key = 28;
  oneof pick { string text = 30; int64 whole = 31; All deep = 32; }
  optional uint32 maybe = 33;
  google.protobuf.Timestamp at = 40; google.protobuf.Duration lasting = 41; google.protobuf.Any any = 42;
  google.protobuf.FieldMask mask = 43; google.protobuf.Empty nothing = 44;
  google.protobuf.StringValue text_value = 45; google.protobuf.Int64Value int_value = 46;
  google.protobuf.Struct any_fields = 47; google.protobuf.Value any_value = 48; google.protobuf.ListValue any_list = 49;
  string far = 200000;
}
service S {
  rpc One(All) returns (All);
  rpc Many(stream All) returns (All);
  rpc Time(google.protobuf.Timestamp) returns (All);
}"#;

const PROTO2: &str = r#"syntax = "proto2";
package t;
message Old {
  required int32 id = 1;
  optional string name = 2;
  repeated sint32 deltas = 3;
  repeated fixed64 packed = 4 [packed = true];
  optional group Result = 5 { optional string url = 1; optional int32 rank = 2; }
  extensions 100 to 200;
}
extend Old { optional string more = 100; }
service S { rpc One(Old) returns (Old); }"#;

fn pool(text: &str) -> DescriptorPool {
    let proto = Schema::Proto { name: "t.proto".into(), text: Some(text.into()), import_paths: vec![] };
    local_pool(&proto).unwrap().unwrap()
}

fn method(text: &str, name: &str) -> MethodDescriptor {
    super::super::method(&pool(text), &format!("t.S/{name}")).unwrap()
}

/// What the worker sends as request 7, in JSON.
fn sent(method: &MethodDescriptor, message: &Message) -> Value {
    let feeds =
        [Feed { name: "who".into(), columns: vec!["name".into()], order: Order::Once, values: vec!["ann ü".into()] }];
    let payload = Payload::compile(message, Names { feeds: &feeds, captures: &[] }).unwrap();
    let mut bytes = Vec::new();
    payload.write(&mut bytes, &mut Draw::new(7, 0, 0, 1, &feeds, None));
    read(method, &bytes[5..])
}

fn read(method: &MethodDescriptor, bytes: &[u8]) -> Value {
    serde_json::to_value(DynamicMessage::decode(method.input(), bytes).unwrap()).unwrap()
}

/// What the JSON mapping alone makes of it.
fn mapped(method: &MethodDescriptor, data: &Value) -> Value {
    read(method, &DynamicMessage::deserialize(method.input(), data).unwrap().encode_to_vec())
}

#[track_caller]
fn same(method: &MethodDescriptor, templated: &Value, by_hand: &Value) {
    let messages = messages(method, templated, true).unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(sent(method, &messages[0]), mapped(method, by_hand), "{templated}");
}

#[track_caller]
fn refused(method: &MethodDescriptor, data: &Value, expected: &str) {
    let error = messages(method, data, true).unwrap_err();
    assert!(error.contains(expected), "{data}: {error}");
    if !super::templated(data) {
        assert_eq!(messages(method, data, false).unwrap_err(), error);
    }
}

#[test]
fn each_kind_of_scalar_takes_a_template() {
    let method = method(PROTO3, "One");
    let numbers = [
        "fDouble",
        "fFloat",
        "fInt32",
        "fInt64",
        "fUint32",
        "fUint64",
        "fSint32",
        "fSint64",
        "fFixed32",
        "fFixed64",
        "fSfixed32",
        "fSfixed64",
        "colour",
        "maybe",
        "whole",
    ];
    for name in numbers {
        for text in ["{{request}}", "{{=request}}", "{{= request }}"] {
            same(&method, &json!({ name: text }), &json!({ name: 7 }));
        }
        same(&method, &json!({ name: "1{{request}}" }), &json!({ name: 17 }));
    }
    for name in ["fDouble", "fFloat", "fInt32", "fInt64", "fSint32", "fSint64", "fSfixed32", "fSfixed64"] {
        same(&method, &json!({ name: "-1{{request}}" }), &json!({ name: -17 }));
        same(&method, &json!({ name: "{{randomInt -300 -300}}" }), &json!({ name: -300 }));
    }
    same(
        &method,
        &json!({"fDouble": "{{request}}.5e1", "fFloat": "0.{{request}}"}),
        &json!({"fDouble": 75, "fFloat": 0.7}),
    );
    same(&method, &json!({"fBool": "{{randomInt 1 1}}"}), &json!({"fBool": true}));
    same(&method, &json!({"fString": "n{{request}} {{who.name}}"}), &json!({"fString": "n7 ann ü"}));
    same(&method, &json!({"fString": "{{{{x}} {{=request}}"}), &json!({"fString": "{{x}} 7"}));
    same(&method, &json!({"far": "{{request}}"}), &json!({"far": "7"}));
    // Bytes are the text itself.
    same(&method, &json!({"fBytes": "{{who.name}}"}), &json!({"fBytes": "YW5uIMO8"}));
}

#[test]
fn templates_stand_at_any_depth() {
    let method = method(PROTO3, "One");
    let templated = json!({
        "fInt32": 5, "child": {"fString": "a", "child": {"tags": ["x", "{{request}}", "y"], "fBool": true}},
        "children": [{"fString": "p"}, {"fString": "{{request}}"}, {}, {"colour": "RED"}],
        "numbers": [1, "{{request}}", 3], "deltas": ["{{=request}}", -4], "reals": [0.5, "{{request}}.25"],
        "apart": [1, "{{request}}"], "colours": ["RED", "{{request}}"], "deep": {"whole": "{{request}}"},
    });
    let by_hand = json!({
        "fInt32": 5, "child": {"fString": "a", "child": {"tags": ["x", "7", "y"], "fBool": true}},
        "children": [{"fString": "p"}, {"fString": "7"}, {}, {"colour": "RED"}],
        "numbers": [1, 7, 3], "deltas": [7, -4], "reals": [0.5, 7.25],
        "apart": [1, 7], "colours": ["RED", 7], "deep": {"whole": 7},
    });
    same(&method, &templated, &by_hand);
}

#[test]
fn maps_take_templates_in_keys_and_values() {
    let method = method(PROTO3, "One");
    let templated = json!({
        "labels": {"a": "b", "k{{request}}": "v", "x": "{{who.name}}"},
        "byId": {"3": {"tags": ["a"]}, "{{request}}": {"fInt32": 1}, "-5": {"fInt32": "{{request}}"}},
        "byTruth": {"true": "{{request}}", "false": -1},
        "byKey": {"n": null, "t": "{{request}}", "l": [1, "{{=request}}"]},
    });
    let by_hand = json!({
        "labels": {"a": "b", "k7": "v", "x": "ann ü"},
        "byId": {"3": {"tags": ["a"]}, "7": {"fInt32": 1}, "-5": {"fInt32": 7}},
        "byTruth": {"true": 7, "false": -1},
        "byKey": {"n": null, "t": "7", "l": [1, 7]},
    });
    same(&method, &templated, &by_hand);
}

#[test]
fn well_known_types_keep_their_forms() {
    let method = method(PROTO3, "One");
    let plain = json!({
        "at": "2026-01-02T03:04:05.5Z", "lasting": "1.5s", "mask": "fInt32,child", "nothing": {},
        "any": {"@type": "type.googleapis.com/t.All", "fInt32": 3}, "anyValue": null,
    });
    same(&method, &plain, &plain);
    let mut templated = plain.clone();
    templated["fString"] = json!("{{request}}");
    let mut by_hand = plain;
    by_hand["fString"] = json!("7");
    same(&method, &templated, &by_hand);
    same(
        &method,
        &json!({
            "textValue": "a{{request}}", "intValue": "{{request}}", "anyValue": "{{=request}}",
            "anyList": [{}, "{{request}}", null],
            "anyFields": {"a": 1, "fields": {"b": ["{{=request}}", "{{request}}", false, null]}, "{{request}}": "x"},
        }),
        &json!({
            "textValue": "a7", "intValue": 7, "anyValue": 7, "anyList": [{}, "7", null],
            "anyFields": {"a": 1, "fields": {"b": [7, "7", false, null]}, "7": "x"},
        }),
    );
    for name in ["at", "lasting", "mask"] {
        refused(
            &method,
            &json!({"child": {name: "{{request}}"}}),
            &format!("data.child.{name}: a template can't stand in a "),
        );
    }
    refused(&method, &json!({"any": {"@type": "t.All", "fString": "{{uuid}}"}}), "data.any: a template can't stand in");
}

#[test]
fn old_syntax_has_groups_and_required_fields() {
    let method = method(PROTO2, "One");
    let templated = json!({
        "id": "{{request}}", "deltas": [-1, "{{request}}"], "packed": ["{{request}}", 9], "[t.more]": "m",
        "result": {"url": "/{{request}}", "rank": 2},
    });
    let by_hand = json!({
        "id": 7, "deltas": [-1, 7], "packed": [7, 9], "[t.more]": "m", "result": {"url": "/7", "rank": 2},
    });
    same(&method, &templated, &by_hand);
    refused(&method, &json!({"name": "x"}), "data: t.Old needs the field 'id'");
    refused(&method, &Value::Null, "data: t.Old needs the field 'id'");
    refused(&method, &json!({"id": 1, "[t.more]": "{{uuid}}"}), "can't stand in an extension");
    refused(&method, &json!({"id": 1, "[t.less]": "x"}), "unrecognized field name '[t.less]'");
}

#[test]
fn texts_stay_texts_where_there_are_no_templates() {
    let method = method(PROTO3, "One");
    let messages = messages(&method, &json!({"fString": "{{request}}"}), false).unwrap();
    assert_eq!(messages, [Message { pieces: vec![Piece::Literal(b"\x72\x0b{{request}}".to_vec())] }]);
}

#[test]
fn literals_are_one_piece() {
    let method = method(PROTO3, "One");
    let data = json!({"fInt32": 1, "children": [{"tags": ["a"]}, {}], "byId": {"1": {}},
                      "fString": "{{request}}", "tags": ["b", "{{uuid}}"]});
    let pieces = &messages(&method, &data, true).unwrap()[0].pieces;
    let kinds: Vec<bool> = pieces.iter().map(|piece| matches!(piece, Piece::Literal(_))).collect();
    assert_eq!(kinds, [true, false, true, false], "{pieces:?}");
}

#[test]
fn a_list_is_several_messages() {
    let (one, many) = (method(PROTO3, "One"), method(PROTO3, "Many"));
    let list = json!([{"fInt32": 1}, null, {"fString": "{{request}}"}]);
    assert_eq!(messages(&one, &list, true).unwrap().len(), 3);
    assert_eq!(messages(&one, &Value::Null, true).unwrap(), [Message::default()]);
    assert_eq!(messages(&one, &json!({}), true).unwrap(), [Message::default()]);
    assert_eq!(messages(&method(PROTO3, "Time"), &Value::Null, false).unwrap(), [Message::default()]);
    assert_eq!(messages(&method(PROTO3, "Time"), &json!(["2026-01-01T00:00:00Z"]), false).unwrap().len(), 1);
    assert_eq!(messages(&many, &json!([]), true).unwrap(), []);
    refused(&one, &json!([]), "the list is empty");
    refused(
        &one,
        &json!([{}, {"child": {"tags": ["a", 5]}}]),
        "data[1].child.tags[1]: invalid type: integer `5`, expected a string",
    );
}

#[test]
fn what_is_wrong_has_its_place() {
    let method = method(PROTO3, "One");
    let cases = [
        (json!(5), "data: t.All takes an object, not a number"),
        (json!({"fStirng": "x"}), "data: t.All has no field 'fStirng': it has f_string, "),
        (json!({"child": {"nope": "{{uuid}}"}}), "data.child: t.All has no field 'nope'"),
        (json!({"byId": {"1": {"nope": 1}}}), "data.byId.1: t.All has no field 'nope'"),
        (json!({"children": [{}, {"fInt32": "x"}]}), "data.children[1].fInt32: invalid digit"),
        (json!({"children": [{}, {"fInt32": "x", "fString": "{{uuid}}"}]}), "data.children[1].fInt32: invalid digit"),
        (json!({"numbers": ["{{request}}", 1.5]}), "data.numbers[1]: expected integer value"),
        (json!({"numbers": 5}), "data.numbers: it takes a list, for it is repeated, not a number"),
        (json!({"tags": "{{uuid}}"}), "data.tags: it takes a list, for it is repeated, not a text"),
        (json!({"tags": ["{{uuid}}", null]}), "data.tags[1]: null can't stand"),
        (json!({"labels": ["{{uuid}}"]}), "data.labels: it takes an object, for it is a map, not a list"),
        (json!({"byId": {"x": {"fString": "{{uuid}}"}}}), "data.byId.x: invalid digit"),
        (json!({"byTruth": {"maybe": "{{request}}"}}), "data.byTruth.maybe: invalid type"),
        (json!({"byTruth": {"true": "{{request}}", "false": "x"}}), "data.byTruth.false: invalid digit"),
        (json!({"child": "{{uuid}}"}), "data.child: t.All takes an object, not a text"),
        (json!({"fString": ["{{uuid}}"]}), "data.fString: it takes a text, not a list"),
        (json!({"fInt32": {"a": "{{uuid}}"}}), "data.fInt32: it takes a number (int32), not an object"),
        (json!({"fInt32": "{{uuid}}"}), "data.fInt32: it takes a number (int32), and {{uuid}} is none"),
        (
            json!({"fInt32": "n{{request}}"}),
            "data.fInt32: it takes a number (int32), which 'n{{request}}' does not become",
        ),
        (json!({"fBool": "1{{request}}"}), "data.fBool: it takes true or false"),
        (json!({"colour": "RED{{request}}"}), "data.colour: it takes a number of t.Colour"),
        (json!({"colours": ["GREY", "RDE"]}), "data.colours[1]: t.Colour has no value 'RDE': it has RED, "),
        (json!({"fInt32": "{{request"}), "which '{{request' does not become"),
        (json!({"text": "a", "whole": "{{request}}"}), "data: only one of 'text' and 'whole' can be set (oneof pick)"),
        (json!({"f_int32": 1, "fInt32": 2}), "'f_int32' and 'fInt32' are the same field"),
        (json!({"fBytes": "%"}), "data.fBytes: invalid base64"),
    ];
    for (data, expected) in cases {
        refused(&method, &data, expected);
    }
    same(&method, &json!({"text": null, "whole": "{{request}}", "maybe": null}), &json!({"whole": 7}));
}

/// Data with templates, and the same with what they become.
type Pair = (Value, Value);

fn leaf() -> impl Strategy<Value = (&'static str, Pair)> {
    let alike = |key: &'static str, value: Value| (key, (value.clone(), value));
    let becomes = |key: &'static str, templated: Value, by_hand: Value| (key, (templated, by_hand));
    prop::sample::select(vec![
        alike("fDouble", json!(-1.5)),
        alike("fBytes", json!("AAEC/w==")),
        alike("colour", json!("GREEN")),
        alike("at", json!("2026-01-02T03:04:05Z")),
        alike("numbers", json!([0, -1, 300])),
        alike("labels", json!({"a": "", "": "b"})),
        alike("maybe", json!(0)),
        becomes("fInt64", json!("{{request}}"), json!(7)),
        becomes("fSint32", json!("{{=request}}"), json!(7)),
        becomes("fFixed32", json!("{{request}}"), json!(7)),
        becomes("fString", json!("{{who.name}}/{{request}}"), json!("ann ü/7")),
        becomes("text", json!("{{request}}"), json!("7")),
        becomes("tags", json!(["", "{{request}}", "b"]), json!(["", "7", "b"])),
        becomes("reals", json!(["{{request}}", 0.5, 0]), json!([7, 0.5, 0])),
        becomes("byTruth", json!({"false": "{{request}}"}), json!({"false": 7})),
        becomes("anyValue", json!(["{{request}}", {"a": 1}]), json!(["7", {"a": 1}])),
    ])
}

fn all() -> impl Strategy<Value = Pair> {
    let object = |entries: Vec<(&'static str, Pair)>| {
        let (mut templated, mut by_hand) = (Map::new(), Map::new());
        for (key, (with, without)) in entries {
            templated.insert(key.to_owned(), with);
            by_hand.insert(key.to_owned(), without);
        }
        (Value::Object(templated), Value::Object(by_hand))
    };
    let small = prop::collection::vec(leaf(), 0..5).prop_map(object);
    small.prop_recursive(4, 24, 4, move |inner| {
        let child = inner.clone().prop_map(|pair| ("child", pair));
        let children = prop::collection::vec(inner.clone(), 0..4).prop_map(|pairs| {
            let (templated, by_hand): (Vec<Value>, Vec<Value>) = pairs.into_iter().unzip();
            ("children", (Value::Array(templated), Value::Array(by_hand)))
        });
        let by_id = inner.prop_map(|(with, without)| {
            ("byId", (json!({"{{request}}": with.clone(), "-1": with}), json!({"7": without.clone(), "-1": without})))
        });
        prop::collection::vec(prop_oneof![child, children, by_id, leaf()], 0..6).prop_map(object)
    })
}

proptest! {
    #[test]
    fn templates_become_what_one_would_write((templated, by_hand) in all()) {
        let method = method(PROTO3, "One");
        let messages = messages(&method, &templated, true).unwrap();
        prop_assert_eq!(sent(&method, &messages[0]), mapped(&method, &by_hand));
    }
}
