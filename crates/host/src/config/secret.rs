//! Fetches secrets from where the configuration says they are. Never shows one.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::ConfigOptions;

/// A secret's file may not be longer, in bytes.
const LONGEST: u64 = 64 * 1024;

/// What is wrong with a secret, and what to do.
pub(crate) type Wrong = (String, Option<String>);

const FORMS: &str = "write { env = \"NAME\" }, { file = \"PATH\" } or { credential = \"NAME\" }";

/// The secret's value. Without `fetch` only the form is checked and the text is empty.
pub(crate) fn resolve(
    key: &str,
    value: &Value,
    options: &ConfigOptions,
    fetch: bool,
) -> Result<String, Wrong> {
    let table = match value {
        Value::Object(table) => table,
        Value::String(text) if whole_placeholder(text).is_some() => {
            let name = whole_placeholder(text).unwrap_or_default();
            return Err((
                format!("`${{{name}}}` is not replaced here"),
                Some(format!("write {{ env = \"{name}\" }}")),
            ));
        }
        Value::String(text) if options.allow_literal_secrets => return Ok(text.clone()),
        Value::String(_) => {
            return Err((
                "a secret must not stand in the configuration itself".to_owned(),
                Some(FORMS.to_owned()),
            ));
        }
        _ => return Err(("this is a secret".to_owned(), Some(FORMS.to_owned()))),
    };
    let (form, name) = match table.iter().next() {
        Some((form, Value::String(name))) if table.len() == 1 => (form.as_str(), name.as_str()),
        _ => return Err(("a secret comes from exactly one place".to_owned(), Some(FORMS.to_owned()))),
    };
    let wanted = fetch;
    let text = match form {
        "env" if wanted => (options.env)(name).ok_or_else(|| {
            (
                format!("the environment variable {name} is not set"),
                Some(format!("set {name} before starting zyklus")),
            )
        })?,
        "file" if wanted => read_file(&options.base_dir.join(name), name)?,
        "credential" if name.is_empty() || name.contains('/') || name.starts_with('.') => {
            return Err((format!("`{name}` is not the name of a credential"), None));
        }
        "credential" if wanted => {
            let dir = (options.env)("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                (
                    format!("the credential {name} is not there: CREDENTIALS_DIRECTORY is not set"),
                    Some(format!("add LoadCredential={name}:/path/of/the/file to the systemd unit")),
                )
            })?;
            read_file(&Path::new(&dir).join(name), name)?
        }
        "env" | "file" | "credential" => return Ok(String::new()),
        other => {
            return Err((format!("`{other}` is not a place for secrets"), Some(FORMS.to_owned())));
        }
    };
    let text = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    if text.is_empty() {
        return Err((format!("the secret {key} from {form} {name} is empty"), None));
    }
    Ok(text.to_owned())
}

/// Whether a secret that is only needed later is not there now: what to say about it. Credentials are there only
/// where systemd starts us, and are not looked for.
pub(crate) fn missing(value: &Value, options: &ConfigOptions) -> Option<Wrong> {
    let table = value.as_object()?;
    let name = |form: &str| table.get(form).and_then(Value::as_str);
    if let Some(name) = name("env") {
        return (options.env)(name).is_none().then(|| {
            (
                format!("the environment variable {name} is not set"),
                Some(format!("set {name} before starting zyklus")),
            )
        });
    }
    let file = name("file")?;
    let error = std::fs::metadata(options.base_dir.join(file)).err()?;
    Some((format!("the secret's file {file} cannot be read: {error}"), None))
}

/// The name in a shell-like `${NAME}`, which other programs replace and this one does not.
pub(crate) fn placeholder(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("${")?;
    let (name, _) = rest.split_once('}')?;
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(name)
}

/// The same when nothing stands around it: a literal secret may well contain one.
fn whole_placeholder(text: &str) -> Option<&str> {
    placeholder(text).filter(|name| text.len() == name.len() + 3)
}

fn read_file(path: &Path, shown: &str) -> Result<String, Wrong> {
    let failed = |e: std::io::Error| (format!("the secret's file {shown} cannot be read: {e}"), None);
    let file = std::fs::File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err((format!("{shown} is not a file"), None));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if about.mode() & 0o007 != 0 {
            return Err((
                format!("everyone on this machine can get at the secret's file {shown}"),
                Some(format!("chmod o-rwx {shown}")),
            ));
        }
    }
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST {
        return Err((format!("the secret's file {shown} is longer than {LONGEST} bytes"), None));
    }
    Ok(text)
}
