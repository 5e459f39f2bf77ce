//! `zyklus plugin`: what libraries there are, which of them may be loaded, and what one is.

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use serde_json::Value;
use zyklus_connect::testkit::{Arguments, Form, Kit, run_trials};
use zyklus_host::plugin::{ChildCommand, Lock, prepare, prepare_unpinned};
use zyklus_host::{ConnectorConfig, HostForm, Isolation, LibrarySettings, Plugin, PluginOptions};
use zyklus_runtime::Project;

use crate::Failure;
use crate::args::PluginCommand;
use crate::commands::{Done, load, print};

pub(crate) fn run(config: &Path, command: PluginCommand) -> Done {
    match command {
        PluginCommand::List => list(&*load(config, false)?),
        PluginCommand::Lock => lock(&*load(config, false)?),
        PluginCommand::Check { file } => check(&file),
        PluginCommand::New { name, lang, sdk } => {
            let root = crate::template::write(&name, lang, sdk.as_deref())?;
            print(&format!("{}: a project that builds; its README.md says how to go on.\n", root.display()))
        }
        PluginCommand::Test { what, kit, network, filter } => test(&what, &kit, network, filter),
    }
}

/// Every connector from a library, and what is said of it.
fn libraries(project: &Project) -> Vec<(&ConnectorConfig, &LibrarySettings)> {
    project
        .connectors
        .iter()
        .filter_map(|c| {
            let plugin = c.plugin.as_ref().map(Plugin::settings);
            Some((c, plugin.or_else(|| c.failed.as_ref().map(|failed| &failed.settings))?))
        })
        .collect()
}

/// An error with its causes, in one line.
fn words(error: zyklus_host::LibraryError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

fn list(project: &Project) -> Done {
    let mut is_well = true;
    for (connector, settings) in libraries(project) {
        let library = settings.library.display();
        match prepare(settings, &project.plugins) {
            Ok(plugin) => {
                let manifest = plugin.manifest();
                let hash = plugin.sha256().get(..12).unwrap_or_default();
                print(&format!(
                    "{}  {library}  {} {}  ABI {}  sha256 {hash}…\n",
                    connector.id,
                    manifest.name,
                    manifest.version,
                    plugin.abi()
                ))?;
            }
            Err(error) => {
                is_well = false;
                print(&format!("{}  {library}  failed: {}\n", connector.id, words(error)))?;
            }
        }
    }
    if is_well { Ok(()) } else { Err(Failure::No) }
}

fn lock(project: &Project) -> Done {
    let mut lock = Lock::default();
    let before = Lock::read(&project.plugins.lock).unwrap_or_default();
    let mut failures = Vec::new();
    for (connector, settings) in libraries(project) {
        if lock.find(&settings.library).is_some() {
            continue;
        }
        match prepare_unpinned(settings, &project.plugins) {
            Ok(plugin) => lock.plugins.push(plugin.locked()),
            Err(error) => failures.push(format!("{}: {}", connector.id, words(error))),
        }
    }
    if !failures.is_empty() {
        return Err(anyhow!("{}; nothing was written", failures.join("; ")).into());
    }
    lock.write(&project.plugins.lock)?;
    for locked in &lock.plugins {
        let word = match before.find(&locked.library) {
            None => "new",
            Some(known) if known.sha256 == locked.sha256 => "as before",
            Some(_) => "changed",
        };
        let (library, kind, version) = (locked.library.display(), &locked.kind, &locked.version);
        print(&format!("{library}  {kind} {version}  {}  {word}\n", locked.sha256))?;
    }
    let count = match lock.plugins.len() {
        1 => "One library is".to_owned(),
        count => format!("{count} libraries are"),
    };
    print(&format!("{count} pinned in {}.\n", project.plugins.lock.display()))
}

fn check(file: &Path) -> Done {
    let name = file.file_name().ok_or_else(|| anyhow!("{} is no file", file.display()))?;
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let private = tempfile::tempdir()?;
    let mut options = PluginOptions::beside(folder);
    options.folder = folder.to_path_buf();
    options.private = private.path().join("libraries");
    let plugin = prepare_unpinned(&LibrarySettings::new(name), &options)?;
    let manifest = plugin.manifest();
    let mut text = format!(
        "{} is a plugin for ABI {}.\nkind: {}\nname: {} {}\n{}\nsha256: {}\n",
        plugin.path().display(),
        plugin.abi(),
        manifest.kind,
        manifest.name,
        manifest.version,
        manifest.description,
        plugin.sha256()
    );
    let named = |title: &str, names: Vec<&str>| match names.as_slice() {
        [] => String::new(),
        names => format!("{title}: {}\n", names.join(", ")),
    };
    text += &named("streams", manifest.streams.iter().map(|stream| stream.name.as_str()).collect());
    text += &named("channel", manifest.channel.iter().map(|spec| spec.channel.as_str()).collect());
    text += &named("actions", manifest.actions.iter().map(|action| action.name.as_str()).collect());
    text += &named("hosts", manifest.hosts.iter().map(String::as_str).collect());
    let keys = manifest.config_schema.get("properties").and_then(Value::as_object);
    text += &named("keys", keys.into_iter().flat_map(|keys| keys.keys()).map(String::as_str).collect());
    print(&text)
}

/// The kit over every form there is of it.
fn test(what: &str, kit: &Path, network: bool, filter: Option<String>) -> Done {
    let kit = Kit::read(kit).map_err(|problem| anyhow!(problem))?;
    let registry = crate::registry();
    let mut forms: Vec<Arc<dyn Form>> = Vec::new();
    if registry.manifest(what).is_some() {
        forms.push(Arc::new(HostForm::built_in(registry, what)?));
    } else {
        for isolation in [Isolation::InProcess, Isolation::Process] {
            let form = HostForm::library(Path::new(what), isolation, network, ChildCommand::this_program());
            forms.push(Arc::new(form.map_err(|e| anyhow!(words(e)))?));
        }
    }
    let arguments = Arguments { filter, ..Arguments::default() };
    if run_trials(&arguments, kit, forms) { Ok(()) } else { Err(Failure::No) }
}
