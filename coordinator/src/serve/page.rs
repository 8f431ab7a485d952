//! The live page's files, as they are served. It does not know what they show, nor who serves them.

/// What a browser may do with the page: its own styles and scripts, and asking where it came from. Nothing inline runs,
/// so that a test's name can't become a script.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                          img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Path below the root, media type, text. The page names its files relatively: it also works below a prefix.
const FILES: [(&str, &str, &str); 9] = [
    ("/", "text/html; charset=utf-8", include_str!("page/live.html")),
    ("/page/report.css", STYLE, include_str!("../report/page.css.tera")),
    ("/page/live.css", STYLE, include_str!("page/live.css")),
    ("/page/live.js", SCRIPT, include_str!("page/live.js")),
    ("/page/feed.js", SCRIPT, include_str!("page/feed.js")),
    ("/page/run.js", SCRIPT, include_str!("page/run.js")),
    ("/page/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/page/charts.js", SCRIPT, include_str!("page/charts.js")),
    ("/page/figures.js", SCRIPT, include_str!("page/figures.js")),
];

/// Media type and text of the file at this path; `/` is the page.
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    FILES.into_iter().find(|(name, ..)| *name == path).map(|(_, media, text)| (media, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands between two texts, each time.
    fn between<'a>(text: &'a str, from: &'a str, to: char) -> impl Iterator<Item = &'a str> {
        text.split(from).skip(1).filter_map(move |rest| rest.split(to).next())
    }

    #[test]
    fn whatever_the_page_names_is_served() {
        let (_, page) = file("/").unwrap();
        let named = between(page, "\"page/", '"').map(str::to_owned);
        let scripts = FILES.iter().filter(|(.., media, _)| *media == SCRIPT);
        let imported = scripts.flat_map(|(.., text)| between(text, "from \"./", '"')).map(str::to_owned);
        let wanted: std::collections::BTreeSet<String> = named.chain(imported).collect();
        let missing: Vec<&String> = wanted.iter().filter(|name| file(&format!("/page/{name}")).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(wanted.len(), FILES.len() - 1, "a file that nothing names: {wanted:?}");
        assert_eq!(file("/page/other.js"), None);
    }

    #[test]
    fn styles_are_plain_and_no_script_writes_markup() {
        for (name, _, text) in FILES {
            let template = text.contains("{{") || text.contains("{%") || text.contains("{#");
            assert!(!template || !name.ends_with(".css"), "{name} has a template's marks");
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text.contains(word), "{name} has {word}");
            }
        }
    }
}
