//! Mistakes in files: what is said of each, and where. Each case is a file with one mistake, marked by `»` in front of
//! it, so that line and column are seen and not counted.

use std::collections::BTreeMap;

use zyklus_engine::playbook::Playbook;
use zyklus_engine::settings::Settings;
use zyklus_engine::source::Source;
use zyklus_engine::{Book, Lifecycle, Problem};

use crate::world::{LIFECYCLE, lifecycle, playbook};

/// The text without its mark, and the line and column of the mark.
fn marked(text: &str) -> (String, usize, usize) {
    let (before, after) = text.split_once('»').expect("a mark");
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (format!("{before}{after}"), line, column)
}

fn assert_one(problems: &[Problem], place: (usize, usize), message: &str, help: Option<&str>) {
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let problem = &problems[0];
    assert_eq!((problem.message.as_str(), problem.help.as_deref()), (message, help));
    assert_eq!((problem.line, problem.column), place, "{problem}");
}

/// A playbook file with one mistake.
fn wrong(text: &str, message: &str, help: Option<&str>) {
    let (text, line, column) = marked(text);
    let problems = Playbook::parse("play.toml", &text, &BTreeMap::new()).expect_err(&text);
    assert_one(&problems, (line, column), message, help);
    assert!(problems[0].to_string().starts_with(&format!("play.toml:{line}:{column}: {message}")));
}

/// A playbook file that works and about which there is something to say.
fn doubtful(text: &str, message: &str, help: Option<&str>) {
    let (text, line, column) = marked(text);
    let (_, warnings) = Playbook::parse("play.toml", &text, &BTreeMap::new()).expect("it works");
    assert_one(&warnings, (line, column), message, help);
    assert!(warnings[0].is_warning);
}

/// A journey with other keys.
fn journey(rest: &str) -> String {
    format!("[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {{ event = \"go\" }}\n{rest}\n")
}

/// A journey with these steps.
fn steps(steps: &str) -> String {
    journey(&format!("steps = [\n  {{ send = \"hello\" }},\n  {steps}\n]"))
}

#[test]
fn an_unknown_key_gets_the_nearest_one() {
    wrong(
        &journey("»reentre = \"always\"\nsteps = [{ send = \"a\" }]"),
        "unknown key `reentre` in `journeys.j`",
        Some("did you mean `reenter`?"),
    );
    wrong(
        &steps("{ send = \"b\", »expire = \"1d\" },"),
        "unknown key `expire` in `journeys.j.steps[1]`",
        Some("did you mean `expires`?"),
    );
    wrong(&format!("»journey = 3\n{}", steps("")), "unknown key `journey`", Some("did you mean `journeys`?"));
}

#[test]
fn a_misspelt_key_among_the_defaults_is_found_once() {
    let two = "[journeys.a]\nlabel = { en = \"A\" }\nstart = { event = \"go\" }\nsteps = [{ send = \"a\" }]\n[journeys.b]\nlabel = { en = \"B\" }\nstart = { event = \"go\" }\nsteps = [{ send = \"b\" }]\n";
    wrong(
        &format!("[defaults]\n»priorty = 3\n{two}"),
        "unknown key `priorty` in `defaults`",
        Some("did you mean `priority`?"),
    );
    wrong(
        &format!("[defaults]\npriority = »\"high\"\n{two}"),
        "`defaults.priority` is a text, not a whole number",
        None,
    );
}

#[test]
fn a_misspelt_verb_gets_the_nearest_one() {
    wrong(&steps("{ »sned = \"b\" },"), "there is no verb `sned`", Some("did you mean `send`?"));
}

#[test]
fn a_step_has_one_verb() {
    wrong(
        &steps("»{ send = \"b\", wait = \"1d\" },"),
        "this step has 2 verbs: wait and send",
        Some("a step does one thing; write two steps"),
    );
    wrong(
        &steps("»{ id = \"x\" },"),
        "this step has no verb",
        Some("write one of wait, send, if, split, tag, untag, call, exit, ask, coupon, audience"),
    );
    wrong(
        &steps("»\"send\","),
        "`journeys.j.steps[1]` is a text, not a table",
        Some("write it in braces: { … }"),
    );
}

#[test]
fn a_verb_of_a_later_version_says_so() {
    for (verb, step) in [("coupon", "{ coupon = \"c\" }"), ("ask", "{ ask = \"nps\", wait = \"3d\" }")] {
        wrong(
            &steps(&format!("»{step},")),
            &format!("this version cannot run `{verb}` yet"),
            Some("take this step out for now"),
        );
    }
}

#[test]
fn a_wrong_length_of_time_says_how_to_write_one() {
    let message = |path: &str, text: &str| {
        format!(
            "`{path}`: \"{text}\" is not a stretch of time; write a whole number and s, m, h, d, w, mo or y, as in \"2h\" or \"14d\""
        )
    };
    wrong(
        &steps("{ wait = »\"3 days\" },"),
        "`journeys.j.steps[1].wait`: \"3 days\" is not a stretch of time; write \"3d\"",
        None,
    );
    wrong(&steps("{ wait = »\"1.5h\" },"), &message("journeys.j.steps[1].wait", "1.5h"), None);
    wrong(
        &steps("{ wait = »3 },"),
        "`journeys.j.steps[1].wait` is a number without a unit",
        Some("write a text with a unit: \"3d\""),
    );
    wrong(
        &steps("{ wait = »\"-2h\" },"),
        "`journeys.j.steps[1].wait`: \"-2h\" is negative; write how long, as in \"2h\"",
        None,
    );
    wrong(
        &steps("{ wait = \"1d\", at = »\"9:30\" },"),
        "`journeys.j.steps[1].at`: \"9:30\" is not a time of day; write it as \"09:30\"",
        None,
    );
}

#[test]
fn two_equal_steps_must_be_named() {
    wrong(
        &steps("»{ send = \"hello\" },"),
        "`journeys.j` has two steps `send:hello`",
        Some("give one of them a name, for example id = \"send-hello-2\""),
    );
    wrong(
        &steps("{ send = \"a\", id = \"x\" }, »{ send = \"b\", id = \"x\" },"),
        "`journeys.j` has two steps `x`",
        Some("give one of them a name, for example id = \"x-2\""),
    );
}

#[test]
fn a_goal_needs_a_window() {
    wrong(
        &journey("goal = »{ when = \"orders.count > 0\" }\nsteps = [{ send = \"a\" }]"),
        "`journeys.j.goal` has no `within`",
        Some("a goal needs a window, for example within = \"14d\""),
    );
}

#[test]
fn a_misspelt_field_in_a_condition_gets_the_nearest_one_at_its_place() {
    wrong(
        &journey("when = \"cart.is_open && »orders.cuont > 0\"\nsteps = [{ send = \"a\" }]"),
        "there is no `orders.cuont`",
        Some("did you mean `orders.count`?"),
    );
    wrong(
        &steps("{ if = \"»order.count > 0\", then = [{ send = \"b\" }] },"),
        "there is no `order.count`",
        Some("did you mean `orders.count`?"),
    );
}

#[test]
fn a_condition_that_is_no_condition_says_why() {
    let (text, line, _) = marked(&journey("exit = »\"orders.count > \"\nsteps = [{ send = \"a\" }]"));
    let problems = Playbook::parse("play.toml", &text, &BTreeMap::new()).unwrap_err();
    assert_eq!((problems.len(), problems[0].line), (1, line), "{problems:#?}");
    wrong(
        &journey("exit = »true\nsteps = [{ send = \"a\" }]"),
        "`journeys.j.exit` is true or false, not a text",
        Some("put it in quotation marks"),
    );
    wrong(
        &journey("when = \"»run.started_at != null\"\nsteps = [{ send = \"a\" }]"),
        "`run.started_at` is not known in a journey's `when`",
        Some("it belongs to a run: use it in `goal`, `exit`, `if` or `until`"),
    );
}

#[test]
fn a_start_names_one_thing() {
    let text = |start: &str| {
        format!("[journeys.j]\nlabel = {{ en = \"J\" }}\n{start}\nsteps = [{{ send = \"a\" }}]\n")
    };
    let known = Some("write one of phase, left, event, segment, schedule, date");
    wrong(
        &text("start = »{ phase = \"a\", event = \"b\" }"),
        "`journeys.j.start` names phase and event; a journey has one start",
        known,
    );
    wrong(
        &text("start = »{ where = \"orders.count > 0\" }"),
        "`journeys.j.start` names nothing that starts it",
        known,
    );
    wrong(
        &text("start = { schedule = »\"every day\" }"),
        "`journeys.j.start.schedule`: \"every day\" must be \"daily 09:00\" or for example \"monthly 1 09:00\"",
        None,
    );
    wrong(
        &text("start = { schedule = \"daily 09:00\", zone = »\"berlin\" }"),
        "`journeys.j.start.zone` cannot be \"berlin\"",
        Some("write one of customer, shop"),
    );
    wrong(
        &text("start = { event = »\"Order Placed\" }"),
        "`journeys.j.start.event`: \"Order Placed\" is not an event's name, as order.placed is",
        None,
    );
    wrong(
        "[journeys.»j]\nlabel = { en = \"J\" }\nsteps = [{ send = \"a\" }]\n",
        "journey `j` says nothing of what starts it",
        Some("write for example start = { phase = \"lapsed\" } or { event = \"order.placed\" }"),
    );
}

#[test]
fn a_segment_that_does_not_exist_gets_the_nearest_one() {
    wrong(
        "[segments]\nnearly-gold = \"orders.count > 3\"\n[journeys.j]\nlabel = { en = \"J\" }\nstart = { segment = »\"nearly-glod\" }\nsteps = [{ send = \"a\" }]\n",
        "there is no segment \"nearly-glod\"",
        Some("did you mean \"nearly-gold\"?"),
    );
}

#[test]
fn words_and_numbers_outside_their_range_are_refused() {
    let with = |key: &str| journey(&format!("{key}\nsteps = [{{ send = \"a\" }}]"));
    wrong(
        &with("mode = »\"shaddow\""),
        "`journeys.j.mode` cannot be \"shaddow\"",
        Some("did you mean \"shadow\"?"),
    );
    wrong(&with("priority = »200"), "`journeys.j.priority` is 200; it must be between 0 and 100", None);
    wrong(&with("holdout = »51"), "`journeys.j.holdout` is 51; it must be between 0 and 50", None);
    wrong(&with("holdout = »\"10 %\""), "`journeys.j.holdout` is a text, not a whole number", None);
    wrong(
        &with("reenter = »\"90d\""),
        "`journeys.j.reenter`: \"90d\" must be \"never\", \"always\" or for example \"after 90d\"",
        None,
    );
    wrong(
        &with("overlap = »\"parallel\""),
        "`journeys.j` has no `key`: nothing tells runs that go on side by side apart",
        Some("say with `key` what the runs are about, for example key = \"event.order_id\""),
    );
    wrong(
        &steps("{ send = \"b\", via = »\"emial\" },"),
        "`journeys.j.steps[1].via` cannot be \"emial\"",
        Some("did you mean \"email\"?"),
    );
}

#[test]
fn a_call_names_a_connector_and_its_action() {
    wrong(
        &steps("{ call = »\"slack\" },"),
        "\"slack\" names no action",
        Some("write the connector's name, a dot and the action, as in \"shop.note\""),
    );
}

#[test]
fn what_stands_behind_an_exit_is_never_reached() {
    wrong(
        &steps("{ exit = \"done\" }, »{ send = \"b\" },"),
        "this step is never reached: the one before it ends the run",
        Some("take it out, or put the `exit` into an `if`"),
    );
}

#[test]
fn a_journey_without_steps_is_refused() {
    wrong(&journey("steps = »[]"), "`journeys.j.steps` is empty", None);
    wrong(
        "[journeys.»j]\nlabel = { en = \"J\" }\nstart = { event = \"go\" }\n",
        "journey `j` has no `steps`",
        None,
    );
    let (text, ..) = marked(&journey("backfill = { since = \"1d\", per_day = 1 }\nsteps = »[]"));
    assert!(Playbook::parse("play.toml", &text, &BTreeMap::new()).is_err(), "a warning hides no mistake");
}

#[test]
fn splits_and_ifs_say_what_they_lack() {
    wrong(&steps("»{ if = \"orders.count > 0\" },"), "`journeys.j.steps[1].then` is missing", None);
    wrong(&steps("»{ split = \"s\" },"), "`journeys.j.steps[1].ways` is missing", None);
    wrong(
        &steps("»{ split = \"s\", ways = [{ name = \"a\", weight = 0, steps = [{ send = \"b\" }] }] },"),
        "`journeys.j.steps[1].ways` have no weight at all",
        Some("give at least one of them a weight above 0"),
    );
}

#[test]
fn labels_need_english_and_ids_are_plain() {
    wrong(
        "[journeys.j]\nlabel = »{ de = \"J\" }\nstart = { event = \"go\" }\nsteps = [{ send = \"a\" }]\n",
        "`journeys.j.label` needs at least `en`",
        None,
    );
    wrong(
        "[journeys.»Welcome]\nlabel = { en = \"J\" }\nstart = { event = \"go\" }\nsteps = [{ send = \"a\" }]\n",
        "\"Welcome\" is not an id; use lower-case letters, digits and -",
        None,
    );
}

#[test]
fn a_file_that_is_no_toml_is_placed_too() {
    let (text, line, _) = marked("[journeys.j]\nlabel = »{ en = \"J\"\nstart = 3\n");
    let problems = Playbook::parse("play.toml", &text, &BTreeMap::new()).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!((line..=line + 1).contains(&problems[0].line), "{}", problems[0]);
}

#[test]
fn columns_count_characters_and_not_bytes() {
    wrong(
        "[journeys.j]\nlabel = { en = \"Größe\", de = »3 }\nstart = { event = \"go\" }\nsteps = [{ send = \"a\" }]\n",
        "`journeys.j.label.de` is a whole number, not a text",
        Some("put it in quotation marks"),
    );
}

#[test]
fn several_mistakes_are_all_found() {
    let text = journey("mode = \"of\"\npriority = -1\nsteps = [{ sned = \"a\" }, { wait = \"x\" }]");
    let problems = Playbook::parse("play.toml", &text, &BTreeMap::new()).unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:#?}");
}

#[test]
fn waits_of_more_than_four_hundred_days_are_doubtful() {
    doubtful(
        "[journeys.»j]\nlabel = { en = \"J\" }\nstart = { event = \"go\" }\nsteps = [{ wait = \"300d\" }, { send = \"a\" }, { wait = \"101d\" }, { send = \"b\" }]\n",
        "the waits of `j` add up to 401 days",
        Some("split it in two journeys: a run should not last more than about a year"),
    );
}

#[test]
fn the_last_phase_takes_everybody() {
    let one = |when: &str| {
        format!("label = {{ en = \"L\" }}\n[[phases]]\nid = \"a\"\nlabel = {{ en = \"A\" }}\nwhen = {when}\n")
    };
    let (text, line, column) = marked(&one("»\"orders.count > 0\""));
    let problems = Lifecycle::parse("l", "l.toml", &text).unwrap_err();
    assert_one(
        &problems,
        (line, column),
        "the last phase, `a`, must take everybody who fits nowhere else",
        Some("write `when = \"true\"`"),
    );
}

#[test]
fn a_lifecycle_names_only_its_own_phases_and_each_once() {
    let text = LIFECYCLE.replace("when = \"orders.count >= 3\"", "when = »\"phase.id == 'byuer'\"");
    let (text, line, column) = marked(&text);
    let problems = Lifecycle::parse("l", "l.toml", &text).unwrap_err();
    assert_one(&problems, (line, column), "there is no phase 'byuer'", Some("did you mean 'buyer'?"));

    let (text, line, column) = marked(&LIFECYCLE.replace("id = \"loyal\"", "id = »\"lapsed\""));
    let problems = Lifecycle::parse("l", "l.toml", &text).unwrap_err();
    assert_one(&problems, (line, column), "there are two phases `lapsed`", None);

    let (text, line, column) = marked(&LIFECYCLE.replace("id = \"loyal\"", "id = \"loyal\"\n»holt = \"3d\""));
    let problems = Lifecycle::parse("l", "l.toml", &text).unwrap_err();
    assert_one(&problems, (line, column), "unknown key `holt` in `phases[1]`", Some("did you mean `hold`?"));

    let problems = Lifecycle::parse("l", "l.toml", "label = { en = \"L\" }\nphases = []\n").unwrap_err();
    assert_eq!(problems[0].message, "a lifecycle needs at least one [[phases]]");
}

fn assembled(journeys: &[&str]) -> Vec<Problem> {
    let playbooks = journeys.iter().map(|text| playbook(text)).collect();
    Book::assemble(lifecycle(LIFECYCLE), playbooks, Settings::default(), 2).expect_err("it is wrong")
}

#[test]
fn a_journey_names_only_phases_steps_and_journeys_that_exist() {
    let with = |start: &str, rest: &str| {
        format!(
            "\n[journeys.j]\nlabel = {{ en = \"J\" }}\nstart = {start}\n{rest}\nsteps = [{{ send = \"hello\" }}]\n"
        )
    };
    let go = "{ event = \"go\" }";
    let cases = [
        (with("{ phase = »\"lasped\" }", ""), "phase", "lasped", "lapsed"),
        (with("{ left = »\"byuer\" }", ""), "phase", "byuer", "buyer"),
        (with("{ segment = \"phase.id == »'byuer'\" }", ""), "phase", "byuer", "buyer"),
        (with(go, "exit = \"orders.count > 2 || phase.id == »'byuer'\""), "phase", "byuer", "buyer"),
        (with(go, "exit = \"sent(»'helo')\""), "step", "helo", "hello"),
        (with(go, "when = \"journey(»'jj').state == 'live'\""), "journey", "jj", "j"),
    ];
    for (text, what, wrong, near) in cases {
        let (text, line, column) = marked(&text);
        let problems = assembled(&[&text]);
        let message = format!("journey `j`: there is no {what} \"{wrong}\"");
        assert_one(&problems, (line, column), &message, Some(&format!("did you mean \"{near}\"?")));
        assert_eq!(&*problems[0].file, "play.toml");
    }
    let (text, line, column) = marked("[segments]\ns = \"phase.id == »'nowhere'\"\n");
    assert_one(
        &assembled(&[&text]),
        (line, column),
        "there is no phase \"nowhere\"",
        Some("the lifecycle `test` has lapsed, loyal, buyer, reach"),
    );
}

#[test]
fn two_journeys_do_not_share_a_name() {
    let problems = assembled(&[&steps(""), &steps("")]);
    assert_one(
        &problems,
        (1, 1),
        "journey `j`: there is another journey `j`",
        Some("it stands at play.toml:1; give one of them another name"),
    );
    let renamed =
        steps("").replace("[journeys.j]", "[journeys.k]").replace("steps =", "was = \"j\"\nsteps =");
    assert_eq!(assembled(&[&steps(""), &renamed])[0].message, "journey `k`: there is another journey `j`");
}

#[test]
fn caps_and_quiet_hours_say_what_is_wrong() {
    type Read = for<'a> fn(&mut Settings, &mut Source<'a>, &toml::Spanned<toml::de::DeValue<'a>>);
    let cases: [(&str, &str, Option<&str>, Read); 5] = [
        (
            "v = { »emial = { max = 1, per = \"day\" } }",
            "`caps.emial` is no channel",
            Some("known are email, sms, social, push, post and total, and beside them contend"),
            Settings::read_caps,
        ),
        ("v = { email = »{ max = 1 } }", "`caps.email.per` is missing", None, Settings::read_caps),
        (
            "v = { email = { max = »-1, per = \"day\" } }",
            "`caps.email.max` is -1; it must be between 0 and 999999",
            None,
            Settings::read_caps,
        ),
        (
            "v = { sms = { from = »\"21\", until = \"08:00\" } }",
            "`quiet.sms.from`: \"21\" is not a time of day; write it as \"09:30\"",
            None,
            Settings::read_quiet,
        ),
        (
            "v = { sms = { from = \"21:00\", until = \"08:00\", weekdays = [»\"Sunday\"] } }",
            "`quiet.sms.weekdays` cannot be \"Sunday\"",
            Some("did you mean \"sunday\"?"),
            Settings::read_quiet,
        ),
    ];
    for (text, message, help, read) in cases {
        let (text, line, column) = marked(text);
        let mut source = Source::new("zyklus.toml", &text);
        let document = source.parse().unwrap();
        let value = document.get_ref().get("v").unwrap();
        let mut settings = Settings::default();
        read(&mut settings, &mut source, value);
        assert_one(&source.problems, (line, column), message, help);
    }
}

#[test]
fn caps_and_quiet_hours_replace_the_default_of_their_channel_only() {
    let text = "caps = { email = [{ max = 5, per = \"7d\" }], sms = [], total = { max = 9, per = \"day\" } }\nquiet = { sms = false, email = { from = \"22:00\", until = \"07:00\", holidays = [2026-12-25] } }\n";
    let mut source = Source::new("zyklus.toml", text);
    let document = source.parse().unwrap();
    let mut settings = Settings::default();
    settings.read_caps(&mut source, document.get_ref().get("caps").unwrap());
    settings.read_quiet(&mut source, document.get_ref().get("quiet").unwrap());
    assert!(source.problems.is_empty(), "{:#?}", source.problems);
    let caps: Vec<_> = settings.caps.iter().map(|c| (c.channel, c.max)).collect();
    assert_eq!(caps, [(Some(zyklus_model::Channel::Email), 5), (None, 9)]);
    assert_eq!(settings.quiet.len(), 1);
    assert!(settings.quiet[0].holidays.contains(&jiff::civil::date(2026, 12, 25)));
}
