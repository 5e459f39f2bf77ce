//! Mistakes a person makes, each in a folder that is right but for it, with all that `zyklus check` says: file, line,
//! column, what is wrong, what to write instead. One snapshot a group; `a_folder_without_a_mistake` keeps the rest honest.

use std::fmt::Write as _;
use std::path::Path;

use crate::{checked, config};

/// A folder that is right, with other contents for some files.
fn said(files: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    copy(&config().join("templates/partials"), &dir.path().join("templates/partials"));
    for template in ["welcome-1", "confirm-signup", "review-request"] {
        let text = std::fs::read_to_string(config().join(format!("templates/{template}/en.mjml"))).unwrap();
        write(&format!("templates/{template}/en.mjml"), &text);
    }
    write("zyklus.toml", ZYKLUS);
    write("playbooks/p.toml", &steps(""));
    for (path, text) in files {
        write(path, text);
    }
    let mut out = String::new();
    for problem in checked(dir.path()) {
        let content = std::fs::read_to_string(dir.path().join(&*problem.file)).unwrap_or_default();
        let line = content.lines().nth(problem.line - 1).unwrap_or_default();
        let _ = writeln!(out, "{line}\n{}^\n{problem}", " ".repeat(problem.column - 1));
    }
    out
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

const ZYKLUS: &str = r#"[shop]
name          = "Teehaus"
url           = "https://teehaus.example"
currency      = "EUR"
time_zone     = "Europe/Berlin"
legal_name    = "Teehaus GmbH"
address_lines = ["Am Markt 1", "20095 Hamburg"]
email         = "hallo@teehaus.example"

[connectors.mail]
type = "maildir"
path = "mail"
"#;

/// A playbook with one journey that has this start, these further keys and these steps.
fn journey(start: &str, keys: &str, steps: &str) -> String {
    format!(
        "[journeys.hello]\nlabel = {{ en = \"Hello\" }}\nstart = {start}\n{keys}\nsteps = [\n  {{ send = \"welcome-1\" }},\n  {steps}\n]\n"
    )
}

const GO: &str = "{ event = \"customer.created\" }";

fn starts(start: &str) -> String {
    journey(start, "", "")
}

fn keys(keys: &str) -> String {
    journey(GO, keys, "")
}

fn steps(steps: &str) -> String {
    journey(GO, "", steps)
}

fn shot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Every mistake of a group with what is said of it; each must be noticed.
fn group(cases: &[(&str, String)], file: &str) -> String {
    let mut out = String::new();
    for (title, text) in cases {
        let said = said(&[(file, text)]);
        assert!(!said.is_empty(), "nobody notices: {title}\n{text}");
        let _ = write!(out, "# {title}\n{said}\n");
    }
    out
}

fn playbooks(cases: &[(&str, String)]) -> String {
    group(cases, "playbooks/p.toml")
}

/// A split of two ways that learns by this, the second way of this weight.
fn learning(by: &str, weight: u8) -> String {
    format!(
        "{{ split = \"s\", learn = {by}, ways = [{{ name = \"a\", steps = [{{ tag = \"vip\" }}] }}, \
         {{ name = \"b\", weight = {weight}, steps = [] }}] }},"
    )
}

#[test]
fn a_folder_without_a_mistake() {
    assert_eq!(said(&[]), "");
}

#[test]
fn mistakes_in_steps() {
    shot(
        "steps",
        &playbooks(&[
            ("a verb misspelt", steps("{ sned = \"welcome-1\" },")),
            ("two verbs in a step", steps("{ send = \"welcome-1\", wait = \"1d\" },")),
            ("no verb", steps("{ id = \"pause\" },")),
            ("a key misspelt", steps("{ wait = \"1d\", att = \"10:00\" },")),
            ("a key of another verb", steps("{ tag = \"vip\", expires = \"1d\" },")),
            ("a step behind the end", steps("{ exit = \"done\" },\n  { tag = \"vip\" },")),
            (
                "a step behind an if whose ways both end",
                steps(
                    "{ if = \"orders.count > 0\", then = [{ exit = \"bought\" }], else = [{ exit = \"not bought\" }] },\n  { tag = \"vip\" },",
                ),
            ),
            ("two equal steps", steps("{ wait = \"1d\" },\n  { send = \"welcome-1\" },")),
            ("one id twice", steps("{ wait = \"1d\", id = \"x\" },\n  { wait = \"2d\", id = \"x\" },")),
            ("an id with capital letters", steps("{ wait = \"1d\", id = \"FirstWait\" },")),
            ("an if without a then", steps("{ if = \"orders.count > 0\" },")),
            (
                "a split with one way",
                steps("{ split = \"s\", ways = [{ name = \"a\", steps = [{ tag = \"vip\" }] }] },"),
            ),
            (
                "a split without weight",
                steps(
                    "{ split = \"s\", ways = [{ name = \"a\", weight = 0, steps = [] }, { name = \"b\", weight = 0, steps = [] }] },",
                ),
            ),
            (
                "two ways of one name",
                steps(
                    "{ split = \"s\", ways = [{ name = \"a\", steps = [{ tag = \"vip\" }] }, { name = \"a\", steps = [] }] },",
                ),
            ),
            ("learning by a goal that is not there", steps(&learning("\"goal\"", 1))),
            ("learning by a word that is none", steps(&learning("\"clicks\"", 1))),
            (
                "learning by two things",
                steps(&learning("{ event = \"mail.clicked\", orders = \"value\" }", 1)),
            ),
            ("learning by nothing", steps(&learning("{ within = \"5d\" }", 1))),
            ("learning without a window", steps(&learning("{ event = \"mail.clicked\" }", 1))),
            ("learning within no time", steps(&learning("{ event = \"mail.clicked\", within = \"0d\" }", 1))),
            (
                "learning by an event misspelt",
                steps(&learning("{ event = \"mail.cliked\", within = \"5d\" }", 1)),
            ),
            (
                "learning by another word of orders",
                steps(&learning("{ orders = \"count\", within = \"5d\" }", 1)),
            ),
            ("learning with one way left", steps(&learning("{ orders = \"value\", within = \"30d\" }", 0))),
            ("an action without its connector", steps("{ call = \"note\" },")),
            ("a connector that is not there", steps("{ call = \"shop.note\" },")),
            (
                "an unknown channel",
                steps("{ wait = \"1d\" },\n  { send = \"welcome-1\", via = \"whatsapp\", id = \"x\" },"),
            ),
            (
                "an unknown purpose",
                steps(
                    "{ wait = \"1d\" },\n  { send = \"welcome-1\", purpose = \"newsletter\", id = \"x\" },",
                ),
            ),
            (
                "steps outside a list",
                keys("").replace("[\n  { send = \"welcome-1\" },\n  \n]", "{ send = \"welcome-1\" }"),
            ),
        ]),
    );
}

#[test]
fn mistakes_with_time() {
    shot(
        "time",
        &playbooks(&[
            ("a length in words", steps("{ wait = \"3 days\" },")),
            ("a length without its unit", steps("{ wait = 3 },")),
            ("minutes where months are meant", steps("{ wait = \"2m\" },")),
            ("a capital M", steps("{ wait = \"2M\" },")),
            ("no wait at all", steps("{ wait = \"0d\" },")),
            ("a negative wait", steps("{ wait = \"-2h\" },")),
            (
                "waits of more than 400 days",
                steps(
                    "{ wait = \"300d\" },\n  { tag = \"vip\" },\n  { wait = \"101d\" },\n  { untag = \"vip\" },",
                ),
            ),
            ("a time of day of three digits", steps("{ wait = \"1d\", at = \"9:30\" },")),
            ("a time in words", steps("{ wait = \"1d\", at = \"noon\" },")),
            ("a wait until an hour that is left out in spring", steps("{ wait = \"1d\", at = \"02:15\" },")),
            (
                "a message that expires at once",
                steps("{ wait = \"1d\" },\n  { send = \"welcome-1\", id = \"x\", expires = \"0h\" },"),
            ),
            ("a schedule in the gap of summer time", starts("{ schedule = \"daily 02:30\" }")),
            ("a schedule in words", starts("{ schedule = \"every monday\" }")),
            ("a day no month has", starts("{ schedule = \"monthly 32 09:00\" }")),
            ("whose zone", starts("{ schedule = \"daily 09:00\", zone = \"Europe/Berlin\" }")),
            (
                "an offset in words",
                starts("{ date = \"customer.attributes.renewal\", offset = \"five days before\" }"),
            ),
            ("a goal without a window", keys("goal = { when = \"orders.count > 0\" }")),
            ("a window of no length", keys("goal = { when = \"orders.count > 0\", within = \"0d\" }")),
            (
                "a window that ends before anything begins",
                keys("goal = { when = \"orders.count > 0\", within = \"7d\" }")
                    .replace("{ send = \"welcome-1\" }", "{ wait = \"10d\" }, { send = \"welcome-1\" }"),
            ),
            ("re-entry without its word", keys("reenter = \"90d\"")),
            ("re-entry after minutes", keys("reenter = \"after 3m\"")),
            ("nothing may be late", keys("late = \"0h\"")),
        ]),
    );
}

#[test]
fn mistakes_in_conditions() {
    let when = |text: &str| keys(&format!("when = \"{text}\""));
    shot(
        "conditions",
        &playbooks(&[
            ("a field misspelt", when("orders.cuont > 0")),
            ("a group instead of a field", when("orders > 0")),
            ("what only templates can call", when("recommend(4) != null")),
            ("how many there are to recommend, misspelt", when("recommend.cuont > 2")),
            ("an unknown function", when("event.count('order.placed', 30) > 1")),
            ("a number and a text", when("orders.count == 'three'")),
            ("a number where a condition belongs", when("orders.count")),
            ("a consent that there is not", when("consent.email.newsletter")),
            ("one equals sign", when("orders.count = 3")),
            ("and in words", when("orders.count > 0 and cart.is_open")),
            ("a bracket left open", when("(orders.count > 0")),
            ("curly quotation marks", when("customer.locale == „de“")),
            ("a text without quotation marks", when("customer.locale == de")),
            ("asking the clock", when("now > orders.last_at")),
            ("the run before there is one", when("run.started_at != null")),
            ("no text at all", keys("when = true")),
            ("a phase that there is not", when("phase.id == 'lasped'")),
            ("a journey that there is not", when("journey('helo').state == 'live'")),
            (
                "a step that there is not",
                steps("{ if = \"sent('welcome-2')\", then = [{ tag = \"vip\" }] },"),
            ),
            (
                "a step that sends nothing",
                steps(
                    "{ wait = \"1d\", id = \"pause\" },\n  { if = \"sent('pause')\", then = [{ tag = \"vip\" }] },",
                ),
            ),
            (
                "a wait that waits for nothing",
                steps(
                    "{ wait = \"1d\", id = \"pause\" },\n  { if = \"timed_out('pause')\", then = [{ tag = \"vip\" }] },",
                ),
            ),
            (
                "a tag that nobody puts on",
                steps(
                    "{ tag = \"cart-reminded\" },\n  { if = \"'cart-reminder' in customer.tags\", then = [{ tag = \"b\" }] },",
                ),
            ),
            ("an event that nothing brings", when("events.count('order.place', 30) > 0")),
            (
                "a coupon's state",
                steps("{ if = \"coupon('hello-5').state == 'open'\", then = [{ tag = \"vip\" }] },"),
            ),
            (
                "a survey's answer",
                steps("{ if = \"answer('nps').score >= 9\", then = [{ tag = \"vip\" }] },"),
            ),
            ("a tier of loyalty", when("loyalty.tier == 'silver'")),
            (
                "something the starting event has under another name",
                journey("{ event = \"order.placed\", where = \"event.order_numbr == 1\" }", "", ""),
            ),
            (
                "the same in a key, which would be one for all",
                journey("{ event = \"order.refunded\" }", "key = \"event.oder_id\"", ""),
            ),
            (
                "something the starting event does not have",
                starts("{ event = \"consent.granted\", where = \"event.newsletter == 'yes'\" }"),
            ),
        ]),
    );
}

#[test]
fn mistakes_in_starts_and_keys() {
    shot(
        "starts_and_keys",
        &playbooks(&[
            ("no start", keys("").replace(&format!("start = {GO}\n"), "")),
            ("two starts", starts("{ phase = \"lapsed\", event = \"order.placed\" }")),
            ("only the filter of a start", starts("{ where = \"event.total > 50.0\" }")),
            ("a start misspelt", starts("{ phse = \"lapsed\" }")),
            ("a phase that there is not", starts("{ phase = \"lasped\" }")),
            ("an event with capital letters", starts("{ event = \"Order Placed\" }")),
            ("an event nearly right", starts("{ event = \"order.delivred\" }")),
            ("an event of ours that there is not", starts("{ event = \"consent.thought-over-again\" }")),
            ("an event of somebody else nearly right", starts("{ event = \"mail.clickd\" }")),
            (
                "an event in a goal nearly right",
                keys("goal = { when = \"event.name == 'order.refundet'\", within = \"14d\" }"),
            ),
            (
                "a segment that there is not",
                format!(
                    "[segments]\nbig-spender = \"orders.count > 9\"\n{}",
                    starts("{ segment = \"big-spneder\" }")
                ),
            ),
            (
                "no steps",
                "[journeys.hello]\nlabel = { en = \"Hello\" }\nstart = { phase = \"lapsed\" }\n".to_owned(),
            ),
            ("empty steps", keys("").replace("[\n  { send = \"welcome-1\" },\n  \n]", "[]")),
            ("a key misspelt", keys("reentre = \"always\"")),
            ("a key misspelt among the defaults", format!("[defaults]\npriorty = 3\n{}", keys(""))),
            ("a table misspelt", keys("").replace("journeys.", "journey.")),
            ("a name with capital letters", keys("").replace("hello", "Hello")),
            ("a label without English", keys("").replace("{ en = \"Hello\" }", "{ de = \"Hallo\" }")),
            ("a label that is a text", keys("").replace("{ en = \"Hello\" }", "\"Hello\"")),
            ("a priority over 100", keys("priority = 200")),
            ("a holdout over 50", keys("holdout = 51")),
            ("a holdout in words", keys("holdout = \"10 %\"")),
            ("an epoch without a holdout", keys("epoch = 2")),
            ("a mode misspelt", keys("mode = \"shaddow\"")),
            ("an overlap that there is not", keys("overlap = \"skip\"")),
            ("parallel runs that nothing tells apart", keys("overlap = \"parallel\"")),
            ("giving way in no group", keys("yield = \"end\"")),
            (
                "letting people in without a measure",
                journey("{ phase = \"lapsed\" }", "backfill = { since = \"90d\" }", ""),
            ),
            ("what a change means, misspelt", keys("on_change = \"finsh\"")),
            ("what a change means, as a number", keys("on_change = 1")),
            (
                "a name from before that somebody has",
                format!("{}{}", keys(""), keys("was = \"hello\"").replace("journeys.hello", "journeys.hi")),
            ),
            ("two journeys of one name", format!("{0}{0}", keys(""))),
            (
                "a review asked for by score",
                journey(
                    "{ event = \"order.delivered\" }",
                    "",
                    "{ wait = \"9d\" },\n  { if = \"feedback.nps >= 9\", then = [{ send = \"review-request\" }] },",
                ),
            ),
            (
                "a review asked for by a score in the start",
                journey(
                    "{ event = \"feedback.received\", where = \"event.score >= 4\" }",
                    "",
                    "{ send = \"review-request\" },",
                ),
            ),
            ("a quotation mark left open", keys("reenter = \"always")),
        ]),
    );
}

#[test]
fn mistakes_across_files() {
    let sends = |step: &str| steps("").replace("{ send = \"welcome-1\" }", step);
    shot(
        "templates",
        &playbooks(&[
            ("a template that there is not", sends("{ send = \"welcome-one\" }")),
            ("a template nearly right", sends("{ send = \"welcom-1\" }")),
            ("a fallback that there is not", sends("{ send = \"welcome-1\", fallback = \"hello\" }")),
            ("advertising sent as service", sends("{ send = \"welcome-1\", purpose = \"transactional\" }")),
            ("a service mail sent as advertising", sends("{ send = \"confirm-signup\" }")),
        ]),
    );
}

#[test]
fn mistakes_in_zyklus_toml() {
    let change = |from: &str, to: &str| {
        assert!(ZYKLUS.contains(from), "{from}");
        ZYKLUS.replace(from, to)
    };
    let more = |text: &str| format!("{ZYKLUS}{text}\n");
    shot(
        "zyklus",
        &group(
            &[
                ("an unknown time zone", change("Europe/Berlin", "Europe/Berln")),
                ("a currency in words", change("\"EUR\"", "\"Euro\"")),
                ("no imprint", change("legal_name    = \"Teehaus GmbH\"\n", "")),
                ("a key misspelt", change("legal_name", "legalname")),
                ("a lifecycle that there is not", more("[lifecycle]\nmodel = \"ecomerce\"")),
                ("a cap on a channel that there is not", more("[caps]\nemial = { max = 1, per = \"day\" }")),
                ("a cap without its time", more("[caps]\nemail = { max = 1 }")),
                (
                    "quiet hours without minutes",
                    more("[quiet]\nemail = { from = \"21\", until = \"08:00\" }"),
                ),
                ("a type of connector that there is not", change("\"maildir\"", "\"mail\"")),
                ("a connector's key misspelt", change("path =", "pth =")),
                ("nobody to carry mail", change("path = \"mail\"", "path = \"mail\"\nenabled = false")),
                ("two that carry mail", more("[connectors.second]\ntype = \"maildir\"\npath = \"second\"")),
                (
                    "a sender that is no address",
                    change("path = \"mail\"", "path = \"mail\"\nfrom = \"Teehaus\""),
                ),
                (
                    "a mail server's sender that is no address",
                    change(
                        "type = \"maildir\"\npath = \"mail\"",
                        "type = \"smtp\"\nhost = \"m.example\"\nfrom = \"hallo@\"",
                    ),
                ),
                (
                    "a name without its password",
                    change(
                        "type = \"maildir\"\npath = \"mail\"",
                        "type = \"smtp\"\nhost = \"m.example\"\nusername = \"u\"\nfrom = \"hallo@teehaus.example\"",
                    ),
                ),
                (
                    "a secret that is not there",
                    more(
                        "[connectors.shop]\ntype = \"vendure\"\nurl = \"https://shop.example\"\nusername = \"zyklus\"\n\
                         password = { env = \"ZYKLUS_TEST_NOT_SET\" }\nchannel_token = { file = \"not-there\" }",
                    ),
                ),
                (
                    "a shop with two ways to log in",
                    more(
                        "[connectors.shop]\ntype = \"vendure\"\nurl = \"https://shop.example\"\nusername = \"zyklus\"\n\
                         password = { env = \"HOME\" }\napi_key = { env = \"HOME\" }",
                    ),
                ),
                (
                    "files that are not there",
                    more("[connectors.files]\ntype = \"csv\"\norders = { path = \"oders.csv\" }"),
                ),
                (
                    "files that are written otherwise, three mistakes at once",
                    more(
                        "[connectors.files]\ntype = \"csv\"\n[connectors.files.orders]\npath = \".\"\ndelimiter = \";;\"\n\
                         [connectors.files.customers]\npath = \".\"\nmap = { frist_name = \"Vorname\" }\n\
                         [connectors.files.products]\npath = \".\"\ntime_zone = \"Europe/Berln\"",
                    ),
                ),
                ("files of which none is named", more("[connectors.files]\ntype = \"csv\"")),
                (
                    "a language no mail is written in",
                    change("currency ", "locale        = \"fr\"\ncurrency "),
                ),
                ("a language some mails lack", change("currency ", "locale        = \"de\"\ncurrency ")),
                (
                    "the shop that init wrote",
                    change("\"Teehaus GmbH\"", "\"My Shop Ltd\"")
                        .replace("\"hallo@teehaus.example\"", "\"hello@shop.example\""),
                ),
            ],
            "zyklus.toml",
        ),
    );
}

#[test]
fn the_starter_journeys_beside_another_lifecycle() {
    let file = format!("{ZYKLUS}\n[lifecycle]\nmodel = \"reach-to-advocate\"\n");
    let playbook = starts("{ phase = \"won-back\" }");
    shot("another_lifecycle", &said(&[("zyklus.toml", &file), ("playbooks/p.toml", &playbook)]));
}

#[cfg(unix)]
#[test]
fn files_that_others_can_read_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("zyklus.toml"), ZYKLUS).unwrap();
    std::fs::write(dir.path().join("zyklus.db"), "").unwrap();
    std::fs::create_dir(dir.path().join("mail")).unwrap();
    let set = |path: &str, mode| {
        std::fs::set_permissions(dir.path().join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set("zyklus.db", 0o640);
    set("mail", 0o755);
    let said: Vec<String> = checked(dir.path()).iter().map(|doubt| doubt.message.clone()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("others on this machine can get at `mail`"), "{said:?}");
    assert!(said[1].contains("`zyklus.db` (its mode is 0640)"), "{said:?}");
    set("zyklus.db", 0o600);
    set("mail", 0o700);
    assert_eq!(checked(dir.path()), []);
}

#[test]
fn what_comes_with_later_versions() {
    let mut out = playbooks(&[
        ("a coupon", steps("{ coupon = \"hello-5\" },")),
        ("a survey", steps("{ ask = \"nps\", wait = \"10d\" },")),
        ("an audience", steps("{ audience = \"meta.vip\", do = \"add\" },")),
        ("coupons", format!("{}\n[coupons.hello-5]\npercent = 5\n", steps(""))),
    ]);
    out += &group(&[("surveys", format!("{ZYKLUS}\n[surveys.nps]\nscale = [0, 10]\n"))], "zyklus.toml");
    out += &group(&[("programmes", "[coupons.hello-5]\npercent = 5\n".to_owned())], "programmes.toml");
    shot("later", &out);
}

/// The lines that problems of this playbook are said to stand in.
fn lines(playbook: &str) -> Vec<String> {
    let said = said(&[("playbooks/p.toml", playbook)]);
    said.lines().filter(|line| line.starts_with("playbooks/")).map(str::to_owned).collect()
}

#[test]
fn each_of_two_equal_mistakes_is_said_where_it_stands() {
    let text = "[journeys.hello]\nlabel = { en = \"Hello\" }\nstart = { event = \"customer.created\" }\nsteps = [\n  \
                # { send = \"gone\" },\n  { send = \"gone\", id = \"gone\" },\n  { wait = \"1d\" },\n  \
                { if = \"sent('gone')\", then = [\n    { send = \"welcome-1\" },\n    { send = 'gone', id = \"second\" },\n  ] },\n  \
                { send = \"welcome-1\", id = \"third\", purpose = \"service\" },\n  \
                { send = \"review-request\", fallback = \"gone\" },\n]\n";
    let at: Vec<String> =
        lines(text).iter().map(|line| line.split(": ").next().unwrap_or_default().to_owned()).collect();
    let expected = ["6:12", "10:14", "12:12", "13:41"].map(|place| format!("playbooks/p.toml:{place}"));
    assert_eq!(at, expected, "{:#?}", lines(text));
}

#[test]
fn what_people_write_is_answered_with_what_they_mean() {
    for (playbook, answer) in [
        (steps("{ wait = 30 }, { tag = \"a\" }"), "write a text with a unit: \"30d\""),
        (steps("{ tag = \"a\", for = 30 }"), "write a text with a unit: \"30d\""),
        (steps("{ wait = \"1 month\" }, { tag = \"a\" }"), "is not a stretch of time; write \"1mo\""),
        (keys("late = \"week\""), "is not a stretch of time; write \"7d\""),
        (
            steps(
                "{ split = \"s\", ways = [{ name = \"a\", weight = 0.5, steps = [] }, { name = \"b\", steps = [] }] }",
            ),
            "weights are whole numbers that count against each other",
        ),
        (
            starts("{ event = \"order.placed\", where = \"event.total >= '100 EUR'\" }"),
            "`event.total` is a number, compared with a text; write the number without quotation marks and currency: 100",
        ),
        (
            starts("{ event = \"order.placed\", where = \"event.total == 'much'\" }"),
            "`event.total` is a number",
        ),
        (
            starts("{ event = \"page.viewed\", where = \"event.price < '20.5'\" }"),
            "`event.price` is a number",
        ),
    ] {
        let said = lines(&playbook);
        assert!(said.iter().any(|line| line.contains(answer)), "{answer}\n{playbook}\n{said:#?}");
    }
    // A text that is none is compared as one.
    for fine in ["event.kind == '5'", "event.day >= '2026-01-01'", "event.currency == 'EUR'"] {
        let playbook = starts(&format!("{{ event = \"page.viewed\", where = \"{fine}\" }}"));
        assert!(lines(&playbook).is_empty(), "{fine}: {:#?}", lines(&playbook));
    }
}

#[test]
fn a_file_that_is_not_there_is_named_as_the_configuration_names_it() {
    let text = format!(
        "{ZYKLUS}\n[connectors.files]\ntype = \"csv\"\n[connectors.files.orders]\npath = \"data/none.csv\"\ncurrency = \"EUR\"\n"
    );
    let said = said(&[("zyklus.toml", &text)]);
    let line = said.lines().find(|line| line.contains("none.csv` does not exist")).unwrap();
    assert!(line.ends_with("`data/none.csv` does not exist; create it or correct `path`"), "{line}");
}
