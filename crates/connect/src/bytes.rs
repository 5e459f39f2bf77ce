//! Bytes in JSON: a string where they are UTF-8, else `{"base64": "…"}`. Numbers in a list, as serde writes bytes by itself,
//! would take four times the room.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form<T> {
    Text(T),
    Base64 { base64: String },
}

fn form(bytes: &[u8]) -> Form<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Form::Text(text),
        Err(_) => Form::Base64 { base64: STANDARD.encode(bytes) },
    }
}

fn bytes<E: de::Error>(form: Form<String>) -> Result<Vec<u8>, E> {
    match form {
        Form::Text(text) => Ok(text.into_bytes()),
        Form::Base64 { base64 } => STANDARD.decode(base64).map_err(E::custom),
    }
}

pub(crate) fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    form(value).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bytes(Form::deserialize(deserializer)?)
}

/// The same for bytes that may be missing.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Form, Serialize, Serializer, bytes, form};

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_deref().map(form).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        Option::<Form<String>>::deserialize(deserializer)?.map(bytes).transpose()
    }
}

#[cfg(test)]
mod tests {
    use crate::{HttpRequest, HttpResponse};

    #[test]
    fn bytes_are_a_text_where_they_can_be() {
        for (body, shown) in
            [(&b"{\"a\":1}"[..], r#""{\"a\":1}""#), (b"", r#""""#), (b"\xff\x00", r#"{"base64":"/wA="}"#)]
        {
            let answer = HttpResponse { status: 200, headers: Default::default(), body: body.to_vec() };
            let text = serde_json::to_string(&answer).unwrap();
            assert!(text.ends_with(&format!("\"body\":{shown}}}")), "{text}");
            assert_eq!(serde_json::from_str::<HttpResponse>(&text).unwrap(), answer);
        }
        let request = HttpRequest::get("http://x");
        let text = serde_json::to_string(&request).unwrap();
        assert!(text.contains("\"body\":null"), "{text}");
        assert_eq!(serde_json::from_str::<HttpRequest>(&text).unwrap(), request);
        let bad = serde_json::from_str::<HttpResponse>(r#"{"status":200,"body":{"base64":"?"}}"#);
        assert!(bad.is_err());
    }
}
