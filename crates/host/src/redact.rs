//! Takes secrets out of what people and files get to see: by the name of a field, and by the known values
//! themselves wherever they turn up. Never decides what is logged.

use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::Value;

/// What stands in place of a secret.
pub(crate) const REDACTED: &str = "REDACTED";

/// Secrets shorter than this are only taken out where a whole value equals them: replacing every `1` in a
/// text would destroy it.
const SHORTEST_REPLACED: usize = 5;

/// Knows the secrets of one connector. Copies of it learn together.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Arc<RwLock<Vec<String>>>,
}

impl Redactor {
    /// Knows these values. Each is also recognised percent-encoded, and in Base64 wherever it stands in what was
    /// encoded (`AUTH PLAIN`, `Basic`).
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let redactor = Redactor::default();
        secrets.into_iter().for_each(|secret| redactor.learn(&secret));
        redactor
    }

    /// Knows one more: a token that came after the configuration.
    pub fn learn(&self, secret: &str) {
        if secret.is_empty() || self.known(|all| all.iter().any(|known| known == secret)) {
            return;
        }
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let percent = encoded.replace('+', "%20");
        let mut all = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        for form in [secret.to_owned(), encoded, percent].into_iter().chain(base64_forms(secret)) {
            if !all.contains(&form) {
                all.push(form);
            }
        }
        // A secret that contains another must go first, or its rest stays visible.
        all.sort_by_key(|s| std::cmp::Reverse(s.len()));
    }

    fn known<T>(&self, look: impl FnOnce(&[String]) -> T) -> T {
        look(&self.secrets.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The text without the known secrets.
    pub fn scrub(&self, text: &str) -> String {
        self.known(|secrets| {
            if secrets.iter().any(|s| s == text) {
                return REDACTED.to_owned();
            }
            let mut out = text.to_owned();
            for secret in secrets.iter().filter(|s| s.len() >= SHORTEST_REPLACED) {
                if out.contains(secret.as_str()) {
                    out = out.replace(secret.as_str(), REDACTED);
                }
            }
            out
        })
    }

    /// The error without the known secrets.
    pub fn scrub_error(&self, mut error: zyklus_connect::Error) -> zyklus_connect::Error {
        error.message = self.scrub(&error.message);
        error.detail = error.detail.map(|d| self.scrub(&d));
        error.code = error.code.map(|c| self.scrub(&c));
        error
    }

    /// A header's value as it may be shown.
    pub fn header(&self, name: &str, value: &str) -> String {
        if is_secret_header(name) { REDACTED.to_owned() } else { self.scrub(value) }
    }

    /// A JSON body as it may be shown: values of secret-named fields and known secrets are replaced.
    pub fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.scrub(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Value::Object(fields) => {
                for (name, field) in fields {
                    if is_secret_field(name) && (field.is_string() || field.is_number()) {
                        *field = Value::String(REDACTED.to_owned());
                    } else {
                        self.json(field);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A query or form (`a=1&b=2`) as it may be shown.
    pub fn query(&self, query: &str) -> String {
        query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, _)) if is_secret_field(name) => format!("{name}={REDACTED}"),
                _ => self.scrub(pair),
            })
            .collect::<Vec<_>>()
            .join("&")
    }

    /// A path with its query as it may be shown.
    pub fn path_and_query(&self, path: &str) -> String {
        match path.split_once('?') {
            Some((path, query)) => format!("{}?{}", self.scrub(path), self.query(query)),
            None => self.scrub(path),
        }
    }
}

/// What a secret looks like inside of Base64: it depends on how far into a group of three bytes it begins. Letters
/// that its neighbours have a part in are left out.
fn base64_forms(secret: &str) -> Vec<String> {
    if secret.len() < SHORTEST_REPLACED {
        return Vec::new();
    }
    let mut forms = vec![STANDARD.encode(secret)];
    for before in 0..3 {
        let padded = [vec![0; before], secret.as_bytes().to_vec()].concat();
        let whole = STANDARD_NO_PAD.encode(&padded);
        let (from, until) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        forms.push(whole[from..until].to_owned());
    }
    // Shorter ones turn up by chance.
    forms.retain(|form| form.len() >= SHORTEST_REPLACED);
    forms
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor(…)")
    }
}

/// Whether a header carries a credential, by its name.
pub(crate) fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("authorization")
        || matches!(name.as_str(), "cookie" | "set-cookie")
        || ["token", "key", "secret", "password", "session"].iter().any(|word| name.contains(word))
}

/// Whether a JSON field or query parameter carries a credential, by its name. Page tokens do not.
pub(crate) fn is_secret_field(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if plain.contains("pagetoken") || plain.contains("continuationtoken") {
        return false;
    }
    ["password", "passwd", "passphrase", "secret", "token", "authorization", "credential"]
        .iter()
        .any(|word| plain.contains(word))
        || ["apikey", "consumerkey", "privatekey", "accesskey", "licensekey", "cookie", "sessionid"]
            .iter()
            .any(|word| plain.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_by_name_and_by_value() {
        let redactor = Redactor::new(["hunter2 & co".to_owned()]);
        let mut body = serde_json::json!({
            "variables": {"p": "hunter2 & co"}, "apiKey": "abc", "next_page_token": "n1", "tokens": ["kept"],
            "text": "it is hunter2 & co!"
        });
        redactor.json(&mut body);
        assert_eq!(
            body,
            serde_json::json!({
                "variables": {"p": REDACTED}, "apiKey": REDACTED, "next_page_token": "n1", "tokens": ["kept"],
                "text": "it is REDACTED!"
            })
        );
        assert_eq!(
            redactor.path_and_query("/a?q=hunter2+%26+co&access_token=x&p=1"),
            "/a?q=REDACTED&access_token=REDACTED&p=1"
        );
        assert_eq!(redactor.header("x-api-key", "v"), REDACTED);
        assert_eq!(redactor.header("accept", "v"), "v");
        assert!(!format!("{redactor:?}").contains("hunter2"));
    }

    #[test]
    fn secrets_in_base64_go_wherever_they_stand() {
        let redactor = Redactor::new(["hunter2-secret".to_owned()]);
        for before in ["", "a", "\0ab", "\0user@shop.example\0"] {
            let token = STANDARD.encode(format!("{before}hunter2-secret"));
            let shown = redactor.scrub(&format!("535 bad: AUTH PLAIN {token}"));
            assert!(shown.contains(REDACTED), "{before:?}: {shown}");
            let rest = shown.replace("535 bad: AUTH PLAIN ", "").replace(REDACTED, "");
            let plain = STANDARD.encode(before);
            assert!(rest.len() <= plain.len() + 4, "{before:?}: {shown}");
        }
    }

    #[test]
    fn short_secrets_do_not_shred_the_text() {
        let redactor = Redactor::new(["1".to_owned()]);
        assert_eq!(redactor.scrub("order 11"), "order 11");
        assert_eq!(redactor.scrub("1"), REDACTED);
    }
}
