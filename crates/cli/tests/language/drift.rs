//! The generated files under config/ are what the description says. `ZYKLUS_WRITE_REFERENCE=1` writes them anew.

use zyklus_cli::schema::generated;

use crate::config;

#[test]
fn schemas_and_reference_are_what_the_description_says() {
    for (path, text) in generated() {
        let file = config().join(&path);
        if std::env::var_os("ZYKLUS_WRITE_REFERENCE").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let there = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            there == text,
            "config/{path} differs from the description: run this test once with ZYKLUS_WRITE_REFERENCE=1"
        );
    }
}

#[test]
fn every_starter_file_names_its_schema_in_its_first_line() {
    let mut count = 0;
    for (folder, line) in [
        ("", "#:schema schema/zyklus.json"),
        ("lifecycles", "#:schema ../schema/lifecycle.json"),
        ("playbooks", "#:schema ../schema/playbook.json"),
    ] {
        for entry in std::fs::read_dir(config().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "toml") {
                let text = std::fs::read_to_string(&path).unwrap();
                assert_eq!(text.lines().next(), Some(line), "{}", path.display());
                count += 1;
            }
        }
    }
    assert!(count >= 16, "{count}");
}
