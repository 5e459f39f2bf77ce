//! What is right fits the schemas, what is wrong does not, and the readers agree.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use toml::Value as Toml;
use zyklus_cli::schema;
use zyklus_engine::{Lifecycle, Playbook};

use crate::{checked, config, folder};

fn validator(name: &str) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&schema::of(name)).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

/// TOML as an editor sees it: dates are texts.
fn json(value: &Toml) -> Value {
    match value {
        Toml::String(text) => text.as_str().into(),
        Toml::Integer(number) => (*number).into(),
        Toml::Float(number) => (*number).into(),
        Toml::Boolean(flag) => (*flag).into(),
        Toml::Datetime(date) => date.to_string().into(),
        Toml::Array(items) => items.iter().map(json).collect(),
        Toml::Table(table) => table.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}

/// What the schema has against a text.
fn misfits(validator: &jsonschema::Validator, text: &str) -> Vec<String> {
    let document = json(&Toml::Table(toml::from_str(text).unwrap()));
    validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|e| e == "toml"));
    files.map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect()
}

/// A split of two ways that learns by this.
fn learning(by: &str) -> String {
    format!(
        "{{ split = \"s\", learn = {by}, ways = [{{ name = \"a\", steps = [] }}, {{ name = \"b\", steps = [] }}] }}"
    )
}

#[test]
fn every_starter_file_fits() {
    for (name, folder) in [("zyklus", ""), ("lifecycle", "lifecycles"), ("playbook", "playbooks")] {
        let validator = validator(name);
        for (file, text) in files(&config().join(folder)) {
            assert_eq!(misfits(&validator, &text), Vec::<String>::new(), "{file}");
        }
    }
}

#[test]
fn every_example_of_the_guide_fits() {
    let guide = std::fs::read_to_string(config().join("README.md")).unwrap();
    let mut count = 0;
    for block in guide.split("```toml\n# ").skip(1) {
        let (file, text) = block.split("```").next().unwrap().split_once('\n').unwrap();
        let kind = if file.starts_with("playbooks/") {
            "playbook"
        } else if file.starts_with("lifecycles/") {
            "lifecycle"
        } else {
            "zyklus"
        };
        assert_eq!(misfits(&validator(kind), text), Vec::<String>::new(), "{file}");
        count += 1;
    }
    assert!(count >= 3);
}

#[test]
fn the_journey_of_the_guide_fits_and_is_sound_beside_the_starter_set() {
    let guide = std::fs::read_to_string(config().join("README.md")).unwrap();
    let block = guide.split("```toml\n#:schema").nth(1).unwrap().split("```").next().unwrap();
    let text = format!("#:schema{block}");
    assert_eq!(misfits(&validator("playbook"), &text), Vec::<String>::new());
    let dir = tempfile::tempdir().unwrap();
    let files = zyklus_runtime::starter_files().into_iter();
    for (path, bytes) in files.chain([("playbooks/20-refill.toml".to_owned(), text.into_bytes())]) {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    // But for the shop that is to be filled in.
    let [doubt]: [zyklus_engine::Problem; 1] = checked(dir.path()).try_into().unwrap();
    assert!(
        doubt.is_warning && doubt.message.starts_with("[shop] still says what `zyklus init` wrote"),
        "{doubt}"
    );
    // Its tests, too: as it stands in the guide, nothing fails.
    let mut options = zyklus_host::ConfigOptions::new(dir.path());
    options.resolve_secrets = false;
    let project =
        zyklus_runtime::Project::load(&dir.path().join("zyklus.toml"), &zyklus_cli::registry(), &options)
            .unwrap();
    let own: Vec<_> =
        project.book.tests.iter().filter(|test| test.journey.as_deref() == Some("refill")).collect();
    assert_eq!(own.len(), 2);
    for test in own {
        let verdict = zyklus_engine::playtest::run(&project.book, test);
        assert!(verdict.passed, "{}: {verdict}", test.name);
    }
}

/// The whole language, with what later versions bring: it fits the schema, and the reader has nothing against it but that.
#[test]
fn the_nine_examples_of_the_whole_language_fit_and_only_later_parts_are_refused() {
    let validator = validator("playbook");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language/nine");
    let files = files(&folder);
    assert_eq!(files.len(), 9);
    for (file, text) in files {
        assert_eq!(misfits(&validator, &text), Vec::<String>::new(), "{file}");
        let problems = match Playbook::parse(&file, &text, &BTreeMap::new()) {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems,
        };
        for problem in problems {
            let words = [
                "cannot run",
                "cannot be run",
                "cannot be given yet",
                "comes with a later version",
                "has no effect yet",
            ];
            assert!(words.iter().any(|word| problem.message.contains(word)), "{problem}");
        }
    }
}

const JOURNEY: &str = "[journeys.j]\nstart = { event = \"go\" }\nsteps = [{ send = \"a\" }]\n";

#[test]
fn what_is_wrong_with_a_playbook_is_wrong_for_reader_and_schema() {
    let validator = validator("playbook");
    assert_eq!(misfits(&validator, JOURNEY), Vec::<String>::new());
    let change = |from: &str, to: &str| {
        assert!(JOURNEY.contains(from), "{from}");
        JOURNEY.replace(from, to)
    };
    let step = |step: &str| change("{ send = \"a\" }", step);
    let key = |key: &str| change("steps", &format!("{key}\nsteps"));
    let wrong = [
        change("journeys", "journey"),
        change("[journeys.j]", "[journeys.J]"),
        change("start = { event = \"go\" }\n", ""),
        change("steps = [{ send = \"a\" }]", ""),
        change("event = \"go\"", "evnt = \"go\""),
        change("event = \"go\"", "event = \"Go\""),
        change("event = \"go\"", "event = \"go\", phase = \"lapsed\""),
        change("event = \"go\"", "schedule = \"every day\""),
        change("event = \"go\"", "schedule = \"monthly 32 09:00\""),
        change("event = \"go\"", "schedule = \"daily 09:00\", zone = \"berlin\""),
        change("event = \"go\"", "date = \"customer.created_at\", offset = \"five days\""),
        step(""),
        step("{ sned = \"a\" }"),
        step("{ send = \"a\", wait = \"1d\" }"),
        step("{ id = \"a\" }"),
        step("\"send\""),
        step("{ send = 1 }"),
        step("{ send = \"a\", via = \"emial\" }"),
        step("{ send = \"a\", purpose = \"advert\" }"),
        step("{ send = \"a\", until = \"true\" }"),
        step("{ wait = \"3 days\" }"),
        step("{ wait = \"-1d\" }"),
        step("{ wait = 3 }"),
        step("{ wait = \"1d\", at = \"9:30\" }"),
        step("{ wait = \"1d\", at = \"24:00\" }"),
        step("{ if = \"orders.count > 0\" }"),
        step("{ split = \"s\" }"),
        step("{ split = \"s\", ways = [] }"),
        step("{ split = \"s\", ways = [{ name = \"a\", weight = -1, steps = [] }] }"),
        step(&learning("\"best\"")),
        step(&learning("{ within = \"5d\" }")),
        step(&learning("{ event = \"mail.clicked\", orders = \"value\", within = \"5d\" }")),
        step(&learning("{ orders = \"count\", within = \"5d\" }")),
        step(&learning("{ event = \"Clicked\", within = \"5d\" }")),
        step("{ call = \"slack\" }"),
        step("{ tag = \"a\", for = \"always\" }"),
        key("label = \"J\""),
        key("label = { de = \"J\" }"),
        key("goal = { when = \"orders.count > 0\" }"),
        key("goal = { within = \"3d\" }"),
        key("priority = 101"),
        key("priority = \"high\""),
        key("holdout = 51"),
        key("epoch = -1"),
        key("mode = \"of\""),
        key("overlap = \"both\""),
        key("reenter = \"90d\""),
        key("group = \"My group\""),
        key("late = \"-1h\""),
        format!("[defaults]\npriorty = 3\n{JOURNEY}"),
    ];
    for text in wrong {
        assert!(Playbook::parse("p.toml", &text, &BTreeMap::new()).is_err(), "the reader takes\n{text}");
        assert!(!misfits(&validator, &text).is_empty(), "the schema takes\n{text}");
    }
    let defaults = "[defaults]\nstart = { event = \"go\" }\n[journeys.j]\nsteps = [{ send = \"a\" }]\n";
    assert!(Playbook::parse("p.toml", defaults, &BTreeMap::new()).is_ok());
    assert_eq!(misfits(&validator, defaults), Vec::<String>::new());
}

#[test]
fn what_is_wrong_with_a_lifecycle_is_wrong_for_reader_and_schema() {
    let validator = validator("lifecycle");
    let good = "label = { en = \"L\" }\n[[phases]]\nid = \"a\"\nlabel = { en = \"A\" }\nwhen = \"true\"\n";
    assert_eq!(misfits(&validator, good), Vec::<String>::new());
    for (from, to) in [
        ("label = { en = \"L\" }\n", ""),
        ("id = \"a\"", "id = \"A\""),
        ("id = \"a\"\n", ""),
        ("when = \"true\"\n", ""),
        ("when = \"true\"", "when = true"),
        ("when", "hold = \"short\"\nwhen"),
        ("when", "holt = \"3d\"\nwhen"),
        ("[[phases]]", "[[phase]]"),
    ] {
        let text = good.replacen(from, to, 1);
        assert!(Lifecycle::parse("l", "l.toml", &text).is_err(), "the reader takes\n{text}");
        assert!(!misfits(&validator, &text).is_empty(), "the schema takes\n{text}");
    }
}

#[test]
fn what_is_wrong_with_zyklus_toml_is_wrong_for_reader_and_schema() {
    let validator = validator("zyklus");
    let good = "[shop]\nname = \"S\"\ncurrency = \"EUR\"\n[connectors.m]\ntype = \"maildir\"\npath = \"m\"\n[connectors.s]\ntype = \"smtp\"\nhost = \"h\"\nfrom = \"S <s@shop.example>\"\npassword = { env = \"P\" }\nusername = \"u\"\n";
    assert_eq!(misfits(&validator, good), Vec::<String>::new());
    assert!(folder(good).iter().all(|problem| problem.is_warning));
    let shop = |with: &str| good.replacen("name", &format!("{with}\nname"), 1);
    let more = |with: &str| format!("{good}{with}\n");
    let wrong = [
        good.replacen("[shop]", "[shops]", 1),
        good.replace("name = \"S\"\n", ""),
        good.replace("currency = \"EUR\"\n", ""),
        good.replace("\"EUR\"", "\"euro\""),
        good.replace("\"EUR\"", "978"),
        shop("legal_nam = \"S\""),
        shop("address_lines = \"Am Markt 1\""),
        shop("salutation = \"du\""),
        more("[store]\nurl = 3"),
        more("[store]\npath = \"a\""),
        more("[rates]\nUSD = \"0.92\""),
        more("[rates]\nUSD = 0"),
        more("[rates]\ndollar = 0.92"),
        more("[lifecycle]\nmodell = \"ecommerce\""),
        more("[caps]\nemial = { max = 1, per = \"day\" }"),
        more("[caps]\nemail = { max = 1 }"),
        more("[caps]\nemail = { max = -1, per = \"day\" }"),
        more("[caps]\nemail = { max = 1, per = \"daily\" }"),
        more("[caps]\nemail = { max = 1, per = \"0d\" }"),
        more("[caps]\nemail = 3"),
        more("[quiet]\nemail = true"),
        more("[quiet]\nemail = { from = \"21\", until = \"08:00\" }"),
        more("[quiet]\nemail = { from = \"21:00\" }"),
        more("[quiet]\nemail = { from = \"21:00\", until = \"08:00\", weekdays = [\"Sunday\"] }"),
        more("[quiet]\nemail = { from = \"21:00\", until = \"08:00\", holidays = [\"Christmas\"] }"),
        more("[consent]\nexisting_customers = \"yes\""),
        more("[test]\nrecipients = \"erika@teehaus.example\""),
        more("[connectors.X]\ntype = \"maildir\"\npath = \"m\""),
        more("[connectors.x]\npath = \"m\""),
        more("[connectors.x]\ntype = \"maildirs\"\npath = \"m\""),
        more("[connectors.x]\ntype = \"maildir\""),
        more("[connectors.x]\ntype = \"maildir\"\npath = \"m\"\nhost = \"h\""),
        more("[connectors.x]\ntype = \"maildir\"\npath = \"m\"\nenabled = \"no\""),
        more("[connectors.x]\ntype = \"maildir\"\npath = \"m\"\nrate_limit = 0"),
        more("[connectors.x]\ntype = \"csv\"\norders = { pth = \"o.csv\" }"),
        good.replace("{ env = \"P\" }", "\"secret\""),
        good.replace("{ env = \"P\" }", "{ environment = \"P\" }"),
    ];
    for text in wrong {
        assert!(folder(&text).iter().any(|problem| !problem.is_warning), "the reader takes\n{text}");
        assert!(!misfits(&validator, &text).is_empty(), "the schema takes\n{text}");
    }
}
