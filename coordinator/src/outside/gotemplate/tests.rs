use proptest::prelude::*;
use serde_json::json;

use super::*;

fn values() -> Value {
    json!({
        "name": "a b", "n": 3, "f": 2.5, "yes": true, "no": false, "zero": 0, "empty": "", "list": [1, 2, 3],
        "none": [], "map": {"b": 2, "a": 1}, "deep": {"er": {"x": "y"}}, "numTasks": 4, "nul": null
    })
}

#[test]
fn renders_as_go_does() {
    for (template, expected) in [
        ("plain }} text", "plain }} text"),
        ("{{ .name }}|{{.n}}|{{ .f }}|{{ .yes }}", "a b|3|2.5|true"),
        ("{{ .deep.er.x }}{{ (.deep).er.x }}{{ $.deep.er.x }}", "yyy"),
        ("a \n {{- .n -}} \n b", "a3b"),
        ("a {{- /* note */ -}} b", "ab"),
        ("{{/* note }} */}}x", "x"),
        ("{{ -3 }} {{- 4 }} {{-5}}{{ 1e3 }}", "-34 -51000"),
        ("{{ \"q\\\"\\n\\u00e9\" }}{{ `r\\n` }}", "q\"\nér\\n"),
        ("{{ if .yes }}1{{ else }}2{{ end }}{{ if .zero }}1{{ else if .empty }}2{{ else }}3{{ end }}", "13"),
        ("{{ if .nope }}1{{ end }}{{ with .deep }}{{ .er.x }}{{ end }}{{ with .nope }}{{ else }}-{{ end }}", "y-"),
        (
            "{{ range .list }}{{ . }},{{ end }}{{ range .none }}{{ else }}none{{ end }}{{ range .nope }}x{{ end }}",
            "1,2,3,none",
        ),
        (
            "{{ range $k, $v := .map }}{{ $k }}={{ $v }};{{ end }}{{ range $i, $x := .list }}{{ $i }}{{ end }}",
            "a=1;b=2;012",
        ),
        ("{{ range $x := .list }}{{ $x }}{{ $.n }}{{ end }}", "132333"),
        ("{{ $a := 1 }}{{ if .yes }}{{ $a = 2 }}{{ $b := 3 }}{{ end }}{{ $a }}", "2"),
        ("{{ with $x := .deep.er }}{{ $x.x }}{{ end }}", "y"),
        ("{{ define \"t\" }}<{{ .x }}{{ $.x }}>{{ end }}{{ template \"t\" .deep.er }}", "<yy>"),
        ("{{ range .list }}{{ template \"t\" $ }}{{ end }}{{- define \"t\"}}{{ $.n }}{{ end}} ", "333 "),
        ("{{ define \"t\" }}t{{ end }}{{ template \"t\" }}", "t"),
        ("{{ .nope | default \"d\" }}{{ .name | default \"d\" }}{{ default 7 .zero }}", "da b7"),
        (
            "{{ eq .n 3 }}{{ eq .n 1 2 3 }}{{ ne .name \"x\" }}{{ lt 1 .f }}{{ ge .n 3.0 }}{{ eq .nul nil }}",
            "truetruetruetruetruetrue",
        ),
        ("{{ and .yes .n }}{{ or .zero .empty \"x\" }}{{ not .yes }}{{ and .no (fail \"x\") }}", "3xfalsefalse"),
        (
            "{{ printf \"%s-%d-%v-%q-%t-%.1f-%f-%g%%\" .name .n .list .name .yes .f .f .f }}",
            "a b-3-[1,2,3]-\"a b\"-true-2.5-2.500000-2.5%",
        ),
        ("{{ .n | printf \"%d%s\" 4 }}", "43"),
        ("{{ len .list }}{{ index .list 1 }}{{ index .map \"b\" }}{{ len .name }}", "3223"),
        ("{{ .name | quote }}{{ .n | quote }}{{ squote .name }}", "\"a b\"\"3\"'a b'"),
        ("{{ .map | toJson }}{{ .map }}{{ .name | upper | lower | trim }}", "{\"b\":2,\"a\":1}{\"b\":2,\"a\":1}a b"),
        (
            "{{ replace \"a\" \"c\" .name }}{{ kindOf .list }}{{ kindOf .map }}{{ kindOf .n }}{{ int 2.9 }}",
            "c bslicemapint2",
        ),
        ("{{ .NumTasks }}{{ .Deep.Er.X }}", "4y"),
    ] {
        assert_eq!(render(template, &values()).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn numbers_are_written_as_go_does() {
    for (number, expected) in
        [(1e21, "1e+21"), (1e20, "100000000000000000000"), (0.00001, "1e-05"), (-2.5e-7, "-2.5e-07")]
    {
        assert_eq!(render("{{ . }}", &json!(number)).as_deref(), Ok(expected));
    }
}

#[test]
fn mistakes_have_a_place() {
    for (template, expected) in [
        ("a\n  {{ .nope }}", "2:6: there is no such value"),
        ("{{ .nope.x }}", "1:4: '.x' can't be looked up: '.nope' is not there"),
        ("{{ .n.x }}", "1:4: '.x' can't be looked up: '.n' is int"),
        ("{{ .n", "1:1: '{{' has no closing"),
        ("{{ if .n }}x", "1:1: 'if' has no end"),
        ("{{ range .n }}{{ end }}", "1:10: a range goes over a list or a map"),
        ("{{ end }}", "1:1: 'end' closes nothing"),
        ("{{ else }}", "1:1: 'else' belongs to no"),
        ("{{ if .n }}{{ else }}{{ else }}{{ end }}", "1:22: the if has an else already"),
        ("é{{ now }}", "1:5: 'now' is not supported"),
        ("{{ block \"x\" . }}{{ end }}", "1:1: 'block' is not supported"),
        ("{{ range .list }}{{ break }}{{ end }}", "1:18: 'break' is not supported"),
        ("{{ $x }}", "1:4: there is no variable $x"),
        ("{{ if .yes }}{{ $x := 1 }}{{ end }}{{ $x }}", "1:39: there is no variable $x"),
        ("{{ $x = 1 }}", "1:4: there is no variable $x"),
        ("{{ (.n }}", "1:4: the bracket does not close"),
        ("{{ .n) }}", "1:6: a bracket closes"),
        ("{{ .n .f }}", "1:7: a value can't be given anything"),
        ("{{ .n | .f }}", "1:9: only a function"),
        ("{{ .n | }}", "1:1: a value is missing"),
        ("{{ }}", "1:1: a value is missing"),
        ("{{ \"x }}", "1:4: the text has no closing quote"),
        ("{{ \"\\x41\" }}", "1:4: the text holds an escape"),
        ("{{ ! }}", "1:4: '!' is nothing"),
        ("{{ 0x1f }}", "1:4: '0x1f' is no number"),
        ("{{ eq .n .name }}", "1:4: int can't be compared with string"),
        ("{{ lt .nul 1 }}", "1:4: invalid can't be compared"),
        ("{{ upper .n }}", "1:4: 'upper' can't be given int"),
        ("{{ printf \"%d\" .name }}", "1:4: printf: '%d' can't show string"),
        ("{{ printf \"%5d\" .n }}", "1:4: printf: '%5d' is not supported"),
        ("{{ printf \"%d\" }}", "1:4: printf: '%d' has no value"),
        ("{{ printf \"x\" .n }}", "1:4: printf: there are more values"),
        ("{{ printf \"%\" }}", "1:4: printf: the format ends"),
        ("{{ index .list 3 }}", "1:4: a list of 3 has no item 3"),
        ("{{ fail \"why\" }}", "1:4: the template fails: why"),
        ("{{ regexReplaceAll \"a.c\" .name \"\" }}", "1:4: regexReplaceAll takes plain text"),
        ("{{ template \"t\" . }}", "1:1: there is no template 't'"),
        ("{{ if .n }}{{ define \"t\" }}{{ end }}{{ end }}", "1:12: 'define' stands inside"),
        ("{{ define \"t\" }}{{ end }}{{ define \"t\" }}{{ end }}", "1:26: the template 't' is defined twice"),
        ("{{ range $a, .list }}{{ end }}", "1:14: a range over keys"),
        ("{{ if .n }}{{ end .n }}", "1:19: nothing is expected"),
    ] {
        let error = render(template, &values()).unwrap_err();
        assert!(error.starts_with(expected), "{template}: {error}");
    }
}

#[test]
fn no_template_runs_without_end() {
    let error =
        render("{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" . }}", &values()).unwrap_err();
    assert!(error.contains("more than 50 deep"), "{error}");
    let list = json!(vec![0; 1000]);
    let error = render("{{ range . }}{{ range $ }}{{ end }}{{ end }}", &list).unwrap_err();
    assert!(error.contains("does not end"), "{error}");
    let grow = "{{ $a := \"aaaaaaaa\" }}{{ range . }}{{ $a = replace \"a\" $a $a }}{{ end }}";
    assert!(render(grow, &list).unwrap_err().contains("more than 4 MiB"));
    let grow = "{{ $a := \"aaaaaaaa\" }}{{ range . }}{{ $a = printf \"%s%s\" $a $a }}{{ end }}";
    assert!(render(grow, &list).unwrap_err().contains("more than 4 MiB"));
    let long = json!(vec!["x".repeat(1 << 20); 5]);
    assert!(render("{{ range . }}{{ . }}{{ end }}", &long).unwrap_err().contains("more than 4 MiB"));
    for template in ["{{ if . }}".repeat(10_000), format!("{{{{ {} }}}}", "(".repeat(10_000))] {
        assert!(render(&template, &values()).unwrap_err().contains("more than 50 deep"));
    }
}

proptest! {
    #[test]
    fn text_stays_and_nothing_panics(text in "[^{]{0,40}", anything in r#"(\{\{|\}\}|-|[ .$|()=:,"`a-z0-9%é\n\\]|if|end|else|range|\.n){0,30}"#) {
        prop_assert_eq!(render(&text, &values()), Ok(text.clone()));
        let _ = render(&anything, &values());
        let _ = render(&format!("{{{{ {anything} }}}}"), &values());
    }

    #[test]
    fn json_comes_through_quote_and_to_json(text in any::<String>()) {
        let made = render("{\"a\": {{ quote .t }}, \"b\": {{ .t | toJson }}}", &json!({"t": text})).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&made).unwrap(), json!({"a": text, "b": text}));
    }
}
