//! Mistakes in configuration files, shown with the line they stand in. Never judges them.

use std::fmt::Write as _;
use std::path::Path;

use zyklus_engine::Problem;

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
        let _ = writeln!(text, "{number} | {line}");
        let _ = writeln!(text, "{:width$} | {blank}^", "", width = number.len());
    }
    if let Some(help) = &problem.help {
        let _ = writeln!(text, "  help: {help}");
    }
    text
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
}
