//! Writes the table of all names for people, out of the schema. Checked against config/conditions.md by a test.

use std::fmt::Write;

use super::functions::FUNCTIONS;
use super::schema::{FIELDS, Group, Moves, Type};

const HEAD: &str = "\
# What a condition can say

Generated from the engine's schema; do not edit. Conditions are CEL: `&&`, `||`, `!`, `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`,
`+ - * / %`, `? :`, texts in single or double quotation marks, lists in square brackets.

- A missing value makes a comparison false and a flag false. `x != 'y'` is the opposite of `x == 'y'`, so it holds when `x` is
  missing; `x == null` and `has(event.x)` ask whether something is there.
- Days since something that never happened are *never*, which is greater than every number: `engagement.days_since_click > 365`
  holds for somebody who never clicked. Days are whole periods of 24 hours.
- Whole numbers and numbers with decimals mix freely, but a whole number divided by a whole number is cut to a whole number, as in
  CEL: write `orders.refund_count * 1.0 / orders.count`. Division by zero gives a missing value.
- There is no `now`: fields that count (marked ↗) do that work, and tell the engine when to look again.
- Money is in the reporting currency, in major units: `cart.value >= 20.0`.

";

const TAIL: &str = "\
## Functions of the language

| function | value | meaning |
|---|---|---|
| `size(x)` or `x.size()` | a whole number | characters of a text, elements of a list |
| `x.startsWith('a')`, `x.endsWith('a')`, `x.contains('a')` | true or false | tests of a text; capital letters matter |
| `x.matches('^a.*z$')` | true or false | a regular expression found in a text |
| `'a' in list` | true or false | the list has that element |
| `'a' in customer.attributes`, `has(event.a)` | true or false | there is such an entry |
| `list.exists(x, x == 'a')`, `list.all(x, x != 'a')` | true or false | holds for one, or for every, element |
| `timestamp(\"2026-01-01T00:00:00Z\")` | an instant | to compare instants with |
| `duration(\"36h\")` | a duration | difference of two instants; units `s m h d w`, all elapsed time |
| `int(x)`, `double(x)`, `string(x)` | | conversions; missing when there is none |
";

/// The reference of all fields and functions, as Markdown: the content of config/conditions.md.
pub fn reference_markdown() -> String {
    let mut out = HEAD.to_owned();
    for group in Group::ALL {
        let fields: Vec<_> = FIELDS
            .iter()
            .filter(|field| field.group == group)
            .map(|f| (f.path, f.kind, f.unit, f.moves, f.doc))
            .collect();
        let functions = FUNCTIONS
            .iter()
            .filter(|function| function.group == group)
            .map(|f| (f.shape, f.kind, f.unit, f.moves, f.doc));
        let (title, places) = heading(group);
        // Writing into a String cannot fail.
        let _ = write!(out, "## {title}\n\n{places}\n\n| name | value | meaning |\n|---|---|---|\n");
        for (name, kind, unit, moves, doc) in fields.into_iter().chain(functions) {
            let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
            let moves = match moves {
                Moves::No => "",
                Moves::Counts => " ↗",
                Moves::Expires => " ↘",
            };
            let kind = if kind == Type::Map { "named values".to_owned() } else { kind.to_string() };
            let _ = writeln!(out, "| `{name}` | {kind}{unit}{moves} | {doc} |");
        }
        out.push('\n');
    }
    out + TAIL
}

fn heading(group: Group) -> (&'static str, &'static str) {
    const ANYWHERE: &str =
        "Known everywhere. ↗ counts up as time passes, ↘ changes by itself when something runs out.";
    match group {
        Group::Customer => ("customer", ANYWHERE),
        Group::Orders => ("orders", ANYWHERE),
        Group::Cart => ("cart", ANYWHERE),
        Group::Events => ("events", ANYWHERE),
        Group::Consent => ("consent", ANYWHERE),
        Group::Feedback => ("feedback", ANYWHERE),
        Group::Voice => (
            "feedback, in words",
            "Known everywhere. Scores come first; words are judged by what the shop's own reviews taught, and by words of ours \
             in English and German until they have taught enough: `zyklus insight feedback` says which, and how well.",
        ),
        Group::Engagement => ("engagement", ANYWHERE),
        Group::Phase => ("phase", ANYWHERE),
        Group::Journeys => ("journey", ANYWHERE),
        Group::Products => ("product", ANYWHERE),
        Group::Prediction => (
            "prediction, customer.value, shop",
            "Known everywhere, from what is learned of the shop each night; the customer's own orders count at once. Young \
             shops teach too little: see `prediction.is_known`.",
        ),
        Group::Recommend => (
            "recommend",
            "Known everywhere, from what is learned of the shop's products every four weeks, and sooner when a tenth more or \
             fewer of them can be recommended; the customer's own orders count at once. In templates, `recommend(4)` has the \
             products themselves.",
        ),
        Group::Event => {
            ("event", "Known in journeys: `start.where`, `key`, `when`, `goal`, `exit`, `if`, `until`.")
        }
        Group::Key => ("key", "Known in a journey's `when`, `goal`, `exit`, `if`, `until`."),
        Group::Run => ("run", "Known in a journey's `goal`, `exit`, `if`, `until`."),
    }
}
