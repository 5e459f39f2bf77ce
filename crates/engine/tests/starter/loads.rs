//! Every file of the starter configuration loads, and the parts fit each other.

use std::collections::BTreeSet;

use zyklus_engine::playbook::Verb;

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
