//! The readers and the description of keys say the same: whatever is described is read, whatever is read is described.
//! The readers are asked from outside, with an unknown key, upon which they list those they know.

use std::collections::{BTreeMap, BTreeSet};

use zyklus_cli::registry;
use zyklus_engine::keys::{Choice, FILES, HOST, Key, Kind, LIBRARY, LIFECYCLE, PLAYBOOK, Table, ZYKLUS};
use zyklus_engine::{Lifecycle, Playbook, Problem};

use crate::folder;

const SHOP: &str = "[shop]\nname = \"S\"\ncurrency = \"EUR\"\n";
const UNKNOWN: &str = "qqqqqqqqqqqqqqq";

/// A file with a table of a kind in it, and what a reader says of the file.
fn read(table: &Table, body: &str) -> Vec<Problem> {
    let journey = |rest: &str, steps: &str| {
        playbook(&format!(
            "[segments]\nbig-spender = \"orders.count > 9\"\n[journeys.j]\n{rest}\nsteps = [{{ tag = \"first\" }}, {steps}]\n"
        ))
    };
    let go = "start = { event = \"go\" }\n";
    let with_goal = &format!("{go}goal = {{ when = \"orders.count > 0\", within = \"9d\" }}\n");
    let lines = body.replace("\u{1f}", "\n");
    let body = body.replace("\u{1f}", ", ");
    match table.name {
        "lifecycle" => lifecycle(&lines),
        "phase" => lifecycle(&format!(
            "label = {{ en = \"L\" }}\nphases = [{{ {body} }}, {{ id = \"z\", label = {{ en = \"Z\" }}, when = \"true\" }}]\n"
        )),
        "playbook" => playbook(&lines),
        "journey" => playbook(&format!("[journeys.j]\n{lines}\n")),
        "goal" => journey(&format!("{go}goal = {{ {body} }}"), ""),
        "backfill" => journey(&format!("start = {{ phase = \"lapsed\" }}\nbackfill = {{ {body} }}"), ""),
        "customer" => playbook(&format!(
            "[[tests]]\nname = \"t\"\nexpect = [{{ nothing = true }}]\ncustomer = {{ {body} }}\n"
        )),
        "given" => playbook(&format!(
            "[[tests]]\nname = \"t\"\nexpect = [{{ nothing = true }}]\ngiven = [{{ {body} }}]\n"
        )),
        "expect" => {
            playbook(&format!("[[tests]]\nname = \"t\"\njourney = \"welcome\"\nexpect = [{{ {body} }}]\n"))
        }
        "test" => playbook(&format!("[[tests]]\n{lines}\n")),
        "way" => journey(go, &format!("{{ split = \"s\", ways = [{{ {body} }}] }}")),
        "step_split" => journey(with_goal, &format!("{{ {body} }}")),
        name if name.starts_with("learn_") => {
            let ways = "ways = [{ name = \"a\", steps = [] }, { name = \"b\", steps = [] }]";
            journey(with_goal, &format!("{{ split = \"s\", learn = {{ {body} }}, {ways} }}"))
        }
        name if name.starts_with("start_") => journey(&format!("start = {{ {body} }}"), ""),
        name if name.starts_with("step_") => journey(go, &format!("{{ {body} }}")),
        "zyklus" => folder(&lines),
        "shop" => folder(&format!("[shop]\n{lines}\n")),
        "store" | "consent" | "caps" | "holdout" => folder(&format!("{SHOP}[{}]\n{lines}\n", table.name)),
        "topic" => folder(&format!("{SHOP}[topics.t]\n{lines}\n")),
        "model" => folder(&format!("{SHOP}[lifecycle]\n{lines}\n")),
        "test_mode" => folder(&format!("{SHOP}[test]\n{lines}\n")),
        "cap" => folder(&format!("{SHOP}[caps]\nemail = {{ {body} }}\ntotal = [{{ {body} }}]\n")),
        "quiet_hours" => folder(&format!("{SHOP}[quiet]\nemail = {{ {body} }}\nsms = false\n")),
        // Of the connectors, the CSV reader has streams, and no key of the host's names.
        "connector" => folder(&format!("{SHOP}[connectors.c]\norders = {{ path = \"o.csv\" }}\n{lines}\n")),
        "rate_limit" => {
            let head = format!("{SHOP}[connectors.c]\ntype = \"csv\"\norders = {{ path = \"o.csv\" }}\n");
            folder(&format!("{head}rate_limit = {{ {body} }}\n"))
        }
        // There is no such library, which is no mistake in the file.
        "library" => folder(&format!("{SHOP}[connectors.c]\n{lines}\n")),
        "plugins" => folder(&format!("{SHOP}[plugins]\n{lines}\n")),
        name => panic!("say here where a table `{name}` stands"),
    }
}

fn playbook(text: &str) -> Vec<Problem> {
    match Playbook::parse("p.toml", text, &BTreeMap::new()) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    }
}

fn lifecycle(text: &str) -> Vec<Problem> {
    match Lifecycle::parse("l", "l.toml", text) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    }
}

/// Every table that can be reached from a file.
fn tables() -> Vec<&'static Table> {
    fn choice(choice: &'static Choice, found: &mut Vec<&'static Table>) {
        choice.tables.iter().for_each(|t| table(t, found));
    }
    fn table(new: &'static Table, found: &mut Vec<&'static Table>) {
        if !found.iter().any(|known| known.name == new.name) {
            found.push(new);
            new.keys.iter().for_each(|key| kind(key.kind, found));
        }
    }
    fn kind(of: Kind, found: &mut Vec<&'static Table>) {
        match of {
            Kind::Table(t) | Kind::Part(t) => table(t, found),
            Kind::OneOf(c) => choice(c, found),
            Kind::List(of) | Kind::Some(of) | Kind::Named(_, of) | Kind::Chosen(_, of) => kind(*of, found),
            Kind::Any(kinds) => kinds.iter().for_each(|of| kind(*of, found)),
            Kind::Connector => [&HOST, &LIBRARY].into_iter().for_each(|of| table(of, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    FILES.iter().for_each(|file| table(file.root, &mut found));
    found
}

/// What must be there in a table, with one key set to a value.
fn body(table: &Table, set: Option<(&Key, &str)>) -> String {
    let needed = table.keys.iter().filter(|k| k.is_needed && set.is_none_or(|(key, _)| key.name != k.name));
    let mut entries: Vec<String> = needed.map(|key| format!("{} = {}", key.name, key.example)).collect();
    entries.extend(set.map(|(key, value)| format!("{} = {value}", key.name)));
    entries.join("\u{1f}")
}

/// Values a key can have: its example, its default, and each of its words.
fn values(key: &Key) -> BTreeSet<String> {
    let mut values = BTreeSet::from([key.example.to_owned()]);
    let is_value = toml::from_str::<toml::Table>(&format!("v = {}", key.default)).is_ok();
    values.extend((is_value && !key.default.is_empty()).then(|| key.default.to_owned()));
    let kinds: &[Kind] =
        if let Kind::Any(kinds) = &key.kind { kinds } else { std::slice::from_ref(&key.kind) };
    for kind in kinds {
        if let Kind::Words(words) = kind {
            values.extend(words.iter().map(|word| format!("\"{word}\"")));
        }
    }
    values
}

/// Keys that say nothing alone, with what they belong to.
fn company(table: &Table, key: &Key, value: &str) -> &'static str {
    match (table.name, key.name) {
        // Parallel runs need something that tells them apart.
        (_, "overlap") if value == "\"parallel\"" => "\u{1f}key = \"event.cart_id\"",
        ("given", "order" | "total" | "products" | "categories" | "coupons") => {
            "\u{1f}event = \"order.placed\""
        }
        ("given", "amount") => "\u{1f}event = \"order.refunded\"",
        ("given", "open") => "\u{1f}cart = \"c1\"",
        ("given", "channel" | "purpose") => "\u{1f}consent = \"granted\"",
        ("given", "score" | "text" | "product") => "\u{1f}feedback = \"nps\"",
        ("expect", "at") => "\u{1f}nothing = true",
        ("expect", "until") => "\u{1f}at = \"1d\"\u{1f}nothing = true",
        ("expect", _) => "\u{1f}at = \"1d\"",
        _ => "",
    }
}

fn is_about_later(problem: &Problem) -> bool {
    ["cannot run", "cannot be run", "has no effect yet", "cannot be given yet"]
        .iter()
        .any(|words| problem.message.contains(words))
}

#[test]
fn whatever_is_described_is_read() {
    let mut read_keys = 0;
    for table in tables() {
        for key in table.keys {
            for value in values(key) {
                let also = company(table, key, &value);
                let problems = read(table, &format!("{}{also}", body(table, Some((key, &value)))));
                let errors: Vec<_> =
                    problems.iter().filter(|p| !p.is_warning && !is_about_later(p)).collect();
                assert!(errors.is_empty(), "{}: {} = {value}\n{errors:#?}", table.title, key.name);
                let is_later = table.is_later || key.is_later && value != key.default;
                assert!(!is_later || !problems.is_empty(), "{}: {} = {value}", table.title, key.name);
                read_keys += 1;
            }
        }
    }
    assert!(read_keys > 120, "{read_keys}");
}

#[test]
fn whatever_is_read_is_described() {
    for table in tables() {
        let needed = body(table, None);
        let join = if needed.is_empty() { "" } else { "\u{1f}" };
        let problems = read(table, &format!("{needed}{join}{UNKNOWN} = 1"));
        if table.is_later || table.is_open || table.name == "rate_limit" {
            // What cannot be run is refused as a whole; an event can hold anything; the host lists no keys of its rate.
            continue;
        }
        let message = problems.iter().find(|p| p.message.contains(UNKNOWN));
        let Some(help) = message.and_then(|p| p.help.as_deref()) else {
            panic!("{}: {problems:#?}", table.title);
        };
        let (_, list) =
            help.split_once("known are ").or_else(|| help.split_once("the keys here are: ")).unwrap();
        let list = list.replace(", and beside them ", ", ").replace(" and ", ", ");
        let mut known: BTreeSet<&str> = list.split(", ").collect();
        if table.name == "connector" {
            // The CSV connector's own.
            let manifest = registry().manifest("csv").unwrap().config_schema.clone();
            let own = manifest["properties"].as_object().unwrap();
            known.retain(|key| !own.contains_key(*key));
        }
        let described: BTreeSet<&str> = table.keys.iter().map(|key| key.name).collect();
        assert_eq!(known, described, "{}", table.title);
    }
}

#[test]
fn every_file_is_described_once() {
    let names: Vec<&str> = tables().iter().map(|table| table.name).collect();
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len());
    for file in [&LIFECYCLE, &PLAYBOOK, &ZYKLUS] {
        assert!(names.contains(&file.root.name));
    }
    for table in tables() {
        for key in table.keys {
            assert!(!key.doc.is_empty() && !key.doc.ends_with('.'), "{} {}", table.name, key.name);
            assert_ne!(key.default.is_empty(), !key.is_needed, "{} {}", table.name, key.name);
        }
    }
}

/// A step that calls an action is held against what the action takes, before a customer is.
#[test]
fn the_input_of_a_call_fits_its_action() {
    let said = |with: &str| {
        let dir = tempfile::tempdir().unwrap();
        let text = "[shop]\nname = \"S\"\ncurrency = \"EUR\"\n[connectors.shop]\ntype = \"vendure\"\n\
                    url = \"https://shop.example\"\nusername = \"robot\"\npassword = { env = \"PASSWORD\" }\n";
        std::fs::write(dir.path().join("zyklus.toml"), text).unwrap();
        std::fs::create_dir(dir.path().join("playbooks")).unwrap();
        let journey = format!(
            "[journeys.note]\nstart = {{ event = \"order.placed\" }}\nsteps = [\n  {{ call = \"shop.note\"{with} }},\n]\n"
        );
        std::fs::write(dir.path().join("playbooks/note.toml"), journey).unwrap();
        let found = crate::checked(dir.path()).into_iter().filter(|problem| !problem.is_warning);
        found
            .map(|problem| {
                format!("{}: {} ({})", problem.line, problem.message, problem.help.unwrap_or_default())
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(said(", with = { text = \"called\" }"), Vec::<String>::new());
    assert_eq!(said(", with = { text = \"called\", public = true }"), Vec::<String>::new());
    let at = "4: journey `note`: `with` of shop.note: ";
    assert_eq!(said(""), [format!("{at}`text` is missing (add `text = …`)")]);
    assert_eq!(
        said(", with = { txt = \"called\", text = 7 }"),
        [
            format!("{at}there is no key `txt` (did you mean `text`?)"),
            format!("{at}`text`: 7 is a whole number; a text is wanted ()"),
        ]
    );
}
