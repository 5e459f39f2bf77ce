//! The demo's folder: the starter configuration and a `zyklus.toml` for the invented shop. Writes only what is
//! not there, and never into a folder that is somebody's own.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use zyklus_runtime::starter_files;

use super::shop;
use crate::commands::write_file;

/// The first line of the demo's `zyklus.toml`, by which its folder is known again.
const MARK: &str = "# zyklus demo: ";

/// Makes the folder, or completes it; what was changed by hand stays.
pub(super) fn prepare(dir: &Path) -> anyhow::Result<()> {
    let config = dir.join("zyklus.toml");
    match fs::read_to_string(&config) {
        Ok(text) if text.starts_with(MARK) => {}
        Ok(_) => bail!("{} is not the demo's; name another folder with --dir", config.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
                return Err(anyhow!("{} is not empty; name another folder with --dir", dir.display()));
            }
            write_file(&config, config_text().as_bytes())?;
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", config.display())),
    }
    for (name, bytes) in starter_files() {
        let path = dir.join(name);
        if !path.exists() {
            write_file(&path, &bytes)?;
        }
    }
    Ok(())
}

/// How many mails lie in a Maildir, read or not.
pub(super) fn mails(maildir: &Path) -> usize {
    let count = |part: &str| fs::read_dir(maildir.join(part)).map_or(0, |entries| entries.flatten().count());
    count("new") + count("cur")
}

/// `zyklus.toml` of the invented shop.
fn config_text() -> String {
    let mut address = shop::POSTAL_ADDRESS.split(", ");
    let firm = address.next().unwrap_or(shop::NAME);
    let lines = address.map(|line| format!("\"{line}\"")).collect::<Vec<_>>().join(", ");
    let (name, url, email, zone) = (shop::NAME, shop::URL, shop::EMAIL, shop::TIME_ZONE);
    let connector = shop::csv_section().trim_end();
    format!(
        r#"{MARK}an invented shop whose export lies in shop/.
#:schema schema/zyklus.json
# README.md beside this file explains every key; `zyklus check` reads it all and names every mistake.

[store]
url = "sqlite:zyklus.db"             # or postgres://user@host/name

[shop]                               # what customers see, and the imprint below every mail
name          = "{name}"
url           = "{url}"
currency      = "EUR"                # everything is reported in it
locale        = "de"                 # of customers whose language is not known
time_zone     = "{zone}"      # of customers whose zone is not known
salutation    = "formal"             # German mails say Sie; "informal" says du
legal_name    = "{firm}"
address_lines = [{lines}]
email         = "{email}"

[lifecycle]
model = "ecommerce"                  # lifecycles/ecommerce.toml; four others lie beside it

[caps]                               # at most so many marketing mails to one customer
email = [{{ max = 1, per = "day" }}, {{ max = 3, per = "7d" }}]

[quiet]                              # local hours in which no mail goes out
email = {{ from = "21:00", until = "08:00" }}

[consent]
existing_customers = false           # true: customers who bought may get e-mail advertising without consent

{connector}

# Mails go into a folder; any mail program can read it. For real ones: type = "smtp".
[connectors.mail]
type = "maildir"
path = "mail"
from = "{name} <{email}>"
"#
    )
}

#[cfg(test)]
mod tests {
    use zyklus_host::ConfigOptions;
    use zyklus_runtime::Project;

    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("zyklus-demo-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        dir
    }

    #[test]
    fn the_folder_is_a_sound_configuration_without_warnings() {
        let dir = scratch("sound");
        prepare(&dir).unwrap();
        // What the demo exports before it reads it.
        let paths = shop::csv_section().lines().filter_map(|line| line.split("\"shop/").nth(1));
        let paths: Vec<&str> = paths.filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(paths.len(), 7);
        fs::create_dir_all(dir.join("shop")).unwrap();
        for path in paths.iter().map(|path| dir.join("shop").join(path)) {
            if path.extension().is_some() {
                fs::write(path, "").unwrap();
            } else {
                fs::create_dir(path).unwrap();
            }
        }
        let options = ConfigOptions::new(&dir);
        let project = Project::load(&dir.join("zyklus.toml"), &crate::registry(), &options);
        let project = project.unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert!(project.warnings.is_empty(), "{:#?}", project.warnings);
        assert_eq!(project.connectors.len(), 2);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_was_changed_by_hand_stays() {
        let dir = scratch("stays");
        prepare(&dir).unwrap();
        let changed = dir.join("playbooks/10-sunset.toml");
        fs::write(&changed, "# mine\n").unwrap();
        prepare(&dir).unwrap();
        assert_eq!(fs::read_to_string(&changed).unwrap(), "# mine\n");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_folder_of_somebodys_own_is_left_alone() {
        let dir = scratch("own");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("letter.txt"), "dear").unwrap();
        assert!(prepare(&dir).unwrap_err().to_string().contains("is not empty"));
        fs::write(dir.join("zyklus.toml"), "[shop]\n").unwrap();
        assert!(prepare(&dir).unwrap_err().to_string().contains("is not the demo's"));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
        fs::remove_dir_all(&dir).unwrap();
    }
}
