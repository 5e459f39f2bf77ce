//! Mistakes in configuration files, shown with the line they stand in. Never judges them, and shows no secret.

use std::fmt::Write as _;
use std::path::Path;

use zyklus_engine::Problem;

use crate::show::counted;

/// A problem with its line and a caret below it, when the file can be read.
pub(crate) fn rendered(problem: &Problem, base_dir: &Path) -> String {
    let word = if problem.is_warning { "warning" } else { "error" };
    let mut text = format!("{word}: {}\n", problem.message);
    let _ = writeln!(text, "  --> {}:{}:{}", problem.file, problem.line, problem.column);
    let content = std::fs::read_to_string(base_dir.join(&*problem.file)).unwrap_or_default();
    if let Some(line) = content.lines().nth(problem.line.saturating_sub(1)) {
        let number = problem.line.to_string();
        let blank: String =
            line.chars().take(problem.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let _ = writeln!(text, "{number} | {}", without_secrets(line, problem));
        let _ = writeln!(text, "{:width$} | {blank}^", "", width = number.len());
    }
    if let Some(help) = &problem.help {
        let _ = writeln!(text, "  help: {help}");
    }
    text
}

/// How many mistakes there are, in words; a warning is none.
pub(crate) fn mistakes(problems: &[Problem]) -> String {
    let count = problems.iter().filter(|problem| !problem.is_warning).count();
    counted(count as u64, "mistake")
}

/// What the name of a key that holds a secret has in it.
const SECRET: [&str; 6] = ["password", "passwd", "secret", "token", "api_key", "credential"];

/// The line without what may be a secret in it: what a problem says is one, and what stands at a key that is called like
/// one, or nearly, as a misspelt one is.
fn without_secrets(line: &str, problem: &Problem) -> String {
    if !problem.file.ends_with(".toml") {
        return line.to_owned();
    }
    let mut shown = String::new();
    let mut rest = line;
    while let Some((before, value)) = rest.split_once('=') {
        let key = before.trim_end().trim_end_matches(['"', '\'']);
        let key = key.rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next().unwrap_or("");
        let key = key.to_lowercase().replace('-', "_");
        let is_secret = SECRET.iter().any(|word| key.contains(word))
            || (key.len() > 3 && zyklus_model::nearest(&key, SECRET).is_some());
        shown.push_str(before);
        shown.push('=');
        rest = value;
        if is_secret && !is_reference(value.trim_start()) {
            shown.push_str(" …");
            rest = behind(value.trim_start());
        }
    }
    shown.push_str(rest);
    if problem.is_secret {
        let place: String = line.chars().take(problem.column - 1).collect();
        // In front of the place nothing is taken out but secrets.
        let kept =
            if shown.starts_with(&place) { place } else { shown.split('…').next().unwrap_or("").into() };
        return format!("{kept}…");
    }
    shown
}

/// Whether a value says where a secret is, and is none.
fn is_reference(value: &str) -> bool {
    let Some(inside) = value.strip_prefix('{') else { return false };
    ["env", "file", "credential"].iter().any(|form| {
        let named = inside.trim_start().strip_prefix(form);
        named.is_some_and(|rest| rest.trim_start().starts_with('='))
    })
}

/// What follows a value on its line; nothing when it does not end on it or where it ends cannot be told.
fn behind(value: &str) -> &str {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return "" };
    let mut is_escaped = false;
    for (at, letter) in value.char_indices().skip(1) {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if quote == '"' => is_escaped = true,
            _ if letter == quote => {
                let rest = &value[at + 1..];
                // Two quotes more begin a text of several lines.
                return if rest.starts_with(quote) { "" } else { rest };
            }
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_place() {
        let dir = std::env::temp_dir().join(format!("zyklus-problems-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("a.toml"), "x = 1\nwhen = \"oders.count > 1\"\n").unwrap();
        let text = "x = 1\nwhen = \"oders.count > 1\"\n";
        let problem = Problem::at(&"a.toml".into(), text, 14..19, "unknown").help("did you mean `orders`?");
        let shown = rendered(&problem, &dir);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(
            shown,
            "error: unknown\n  --> a.toml:2:9\n2 | when = \"oders.count > 1\"\n  |         ^\n  help: did you mean `orders`?\n"
        );
    }

    #[test]
    fn a_warning_is_no_mistake() {
        let problem = || Problem::at(&"a.toml".into(), "", 0..0, "wrong");
        assert_eq!(mistakes(&[problem(), problem().warning()]), "1 mistake");
        assert_eq!(mistakes(&[problem(), problem(), problem().warning()]), "2 mistakes");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let about = |column: usize, is_secret: bool| {
            let mut problem = Problem::at(&"zyklus.toml".into(), "", 0..0, "wrong");
            (problem.column, problem.is_secret) = (column, is_secret);
            problem
        };
        for (line, shown) in [
            ("password = \"hallo\"", "password = …"),
            ("  password=\"hallo\"", "  password= …"),
            ("\"password\" = 'ha\"llo' # mine", "\"password\" = … # mine"),
            ("password = \"ha\\\"llo\"", "password = …"),
            ("password = \"\"\"hallo", "password = …"),
            ("password = \"hallo", "password = …"),
            ("password = { value = \"hallo\" }", "password = …"),
            ("pasword = \"hallo\"", "pasword = …"),
            ("api-key = 17", "api-key = …"),
            (
                "mail = { type = \"smtp\", password = \"hallo\", port = 3 }",
                "mail = { type = \"smtp\", password = …, port = 3 }",
            ),
            ("password = { env = \"SHOP\" }", "password = { env = \"SHOP\" }"),
            ("host = \"mail.example\"", "host = \"mail.example\""),
        ] {
            assert_eq!(without_secrets(line, &about(1, false)), shown, "{line}");
        }
        // Whatever the key is called, when the problem says so.
        assert_eq!(without_secrets("pin = \"1234\"", &about(7, true)), "pin = …");
        assert_eq!(without_secrets("url = \"postgres://a:b@db/x\"", &about(7, true)), "url = …");
        let both = "a = { password = \"hallo\", pin = \"1234\" }";
        assert_eq!(without_secrets(both, &about(32, true)), "a = { password = …");
    }
}
