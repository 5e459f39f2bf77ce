//! Every file of the starter configuration loads, and the parts fit each other.

use std::collections::{BTreeMap, BTreeSet};

use zyklus_engine::playbook::Verb;
use zyklus_engine::settings::CapWindow;
use zyklus_engine::source::Source;
use zyklus_engine::wait::Length;
use zyklus_engine::{Book, Lifecycle, Playbook, Settings};
use zyklus_model::Channel;

use crate::{MODELS, book, config, files, lifecycle, playbooks};

#[test]
fn every_lifecycle_loads_without_a_warning_and_speaks_both_languages() {
    let found: BTreeSet<String> = files("lifecycles").into_keys().collect();
    assert_eq!(found, MODELS.iter().map(|m| (*m).to_owned()).collect());
    for model in MODELS {
        let lifecycle = lifecycle(model);
        for label in lifecycle.phases.iter().map(|p| &p.label).chain([&lifecycle.label]) {
            assert!(label.contains_key("en") && label.contains_key("de"), "{model}: {label:?}");
        }
    }
    let nine: BTreeSet<String> = lifecycle("ecommerce").phases.iter().map(|p| p.id.to_string()).collect();
    let wanted =
        ["reach", "acquire", "convert", "develop", "retain", "advocate", "at-risk", "lapsed", "won-back"];
    assert_eq!(nine, wanted.map(str::to_owned).into());
}

#[test]
fn every_playbook_loads_without_a_warning_and_fits_the_default_lifecycle() {
    let book = book("ecommerce", playbooks());
    assert!(book.journeys.len() >= 13, "{}", book.journeys.len());
    for journey in &book.journeys {
        assert!(journey.label.contains_key("en") && journey.label.contains_key("de"), "{}", journey.id);
    }
}

#[test]
fn every_template_is_used_and_none_is_missing_and_the_purposes_agree() {
    let book = book("ecommerce", playbooks());
    let used: BTreeSet<&str> = book.templates().into_iter().map(|(name, _)| name).collect();
    let entries = std::fs::read_dir(config().join("templates")).unwrap();
    let there: BTreeSet<String> = entries
        .map(|e| e.unwrap())
        .filter(|e| e.file_type().unwrap().is_dir())
        .map(|e| e.file_name().into_string().unwrap())
        .filter(|name| name != "partials")
        .collect();
    assert_eq!(used, there.iter().map(String::as_str).collect());
    for node in book.journeys.iter().flat_map(|j| &j.nodes) {
        if let Verb::Send(send) = &node.verb {
            let text = std::fs::read_to_string(config().join(format!("templates/{}/en.mjml", send.template)))
                .unwrap();
            let class = format!("class = \"{}\"", send.purpose.as_str());
            assert!(text.lines().any(|line| line.trim() == class), "{}: {class}", send.template);
        }
    }
}

/// The TOML examples of the guide, by the file their first line names.
pub(crate) fn examples() -> BTreeMap<String, String> {
    let guide = std::fs::read_to_string(config().join("README.md")).unwrap();
    let blocks = guide.split("```toml\n# ").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.filter_map(|b| b.split_once('\n')).map(|(file, text)| (file.to_owned(), text.to_owned())).collect()
}

#[test]
fn every_example_of_the_guide_loads_and_shows_every_verb_and_start() {
    let examples = examples();
    let names: Vec<&str> = examples.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "lifecycles/simple.toml",
            "playbooks/21-make-good.toml",
            "playbooks/22-goes-with.toml",
            "playbooks/23-seldom.toml",
            "playbooks/example.toml",
            "playbooks/learning.toml",
            "playbooks/tested.toml",
            "zyklus.toml"
        ]
    );
    Lifecycle::parse("simple", names[0], &examples[names[0]]).unwrap();
    let read = |name: usize| Playbook::parse(names[name], &examples[names[name]], &BTreeMap::new()).unwrap();
    let (playbook, warnings) = read(4);
    assert!(warnings.is_empty(), "{warnings:?}");
    for (name, journeys) in [(1, 2), (2, 1), (3, 1), (5, 1)] {
        let (playbook, warnings) = read(name);
        assert_eq!((playbook.journeys.len(), warnings), (journeys, Vec::new()), "{}", names[name]);
    }
    let verbs: BTreeSet<String> = playbook.journeys[1].nodes.iter().map(|n| verb(&n.verb)).collect();
    assert_eq!(verbs.len(), 8, "{verbs:?}");
    Book::assemble(lifecycle("ecommerce"), vec![playbook], Settings::default(), 2).unwrap();

    let guide = std::fs::read_to_string(config().join("README.md")).unwrap();
    let starts = guide.lines().filter_map(|l| l.strip_prefix("| `{ ")?.split("` |").next());
    let mut count = 0;
    for start in starts {
        let text = format!(
            "[segments]\nbig-spender = 'orders.count > 9'\n[journeys.j]\nstart = {{ {start}\nsteps = [{{ exit = 'x' }}]\n"
        );
        let read = Playbook::parse(start, &text, &BTreeMap::new());
        assert!(read.as_ref().is_ok_and(|(_, warnings)| warnings.is_empty()), "{start}: {read:?}");
        count += 1;
    }
    assert_eq!(count, 6);
}

fn verb(verb: &Verb) -> String {
    let name = format!("{verb:?}");
    name.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default().to_owned()
}

#[test]
fn caps_and_quiet_hours_of_the_guide_mean_what_it_says() {
    let text = examples().remove("zyklus.toml").unwrap();
    let mut source = Source::new("zyklus.toml", &text);
    let document = source.parse().unwrap();
    let mut settings = Settings::default();
    settings.read_caps(&mut source, document.get_ref().get("caps").unwrap());
    settings.read_quiet(&mut source, document.get_ref().get("quiet").unwrap());
    assert!(source.problems.is_empty(), "{:?}", source.problems);
    let cap = |channel| {
        let of = settings.caps.iter().filter(move |c| c.channel == channel);
        of.map(|c| (c.max, c.per)).collect::<Vec<_>>()
    };
    let week = CapWindow::Rolling(Length::days(7));
    assert_eq!(cap(Some(Channel::Email)), [(1, CapWindow::Day), (3, week)]);
    assert_eq!((cap(Some(Channel::Sms)), cap(None)), (vec![(2, week)], vec![(4, week)]));
    assert_eq!(settings.quiet.len(), 2);
    // The defaults the guide names.
    let standard = Settings::default();
    assert_eq!(standard.caps.len(), 3);
    assert!(standard.quiet.iter().all(|q| q.channel == Channel::Sms));
}
