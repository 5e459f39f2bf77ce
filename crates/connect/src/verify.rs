//! Signatures of webhooks, checked on the raw bytes and in constant time. Never parses a body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zyklus_model::At;

use crate::secret::Secret;
use crate::webhook::{Rejected, WebhookRequest};

/// How far a signed time may lie from that of arrival, either way.
const WINDOW_MICROS: i64 = 5 * 60 * 1_000_000;
const BLOCK: usize = 64;

/// HMAC-SHA256 (RFC 2104) of these parts, one behind the other.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new();
    inner.update(block.map(|byte| byte ^ 0x36));
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = Sha256::new();
    outer.update(block.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

/// Whether both are equal, in a time that does not say where they differ.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0u8, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    one.len() == other.len() && differing == 0
}

fn header<'a>(request: &'a WebhookRequest, name: &str) -> Result<&'a str, Rejected> {
    let value = request.headers.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    value.ok_or_else(|| Rejected::Signature(format!("the header `{name}` is missing")))
}

fn wrong(name: &str) -> Rejected {
    Rejected::Signature(format!(
        "the one in `{name}` is not that of this body; is the secret the same on both sides?"
    ))
}

/// HMAC-SHA256 of the body in hexadecimal digits, with or without `sha256=` before it.
///
/// # Errors
/// The signature is missing or wrong.
pub fn hmac_hex(request: &WebhookRequest, name: &str, secret: &Secret) -> Result<(), Rejected> {
    let text = header(request, name)?;
    let given = hex::decode(text.strip_prefix("sha256=").unwrap_or(text)).map_err(|_| wrong(name))?;
    let expected = hmac_sha256(secret.expose().as_bytes(), &[&request.body]);
    if is_same(&given, &expected) { Ok(()) } else { Err(wrong(name)) }
}

/// HMAC-SHA256 of the body in Base64.
///
/// # Errors
/// The signature is missing or wrong.
pub fn hmac_base64(request: &WebhookRequest, name: &str, secret: &Secret) -> Result<(), Rejected> {
    let given = STANDARD.decode(header(request, name)?).map_err(|_| wrong(name))?;
    let expected = hmac_sha256(secret.expose().as_bytes(), &[&request.body]);
    if is_same(&given, &expected) { Ok(()) } else { Err(wrong(name)) }
}

/// A time in seconds since 1970 that lies within five minutes of the request's arrival. Worth something only where it is
/// signed, too.
///
/// # Errors
/// It is missing, no time, or too old or too new.
pub fn is_fresh(request: &WebhookRequest, name: &str) -> Result<(), Rejected> {
    let seconds = header(request, name)?.parse::<i64>().ok().filter(|s| s.unsigned_abs() < 1 << 40);
    let seconds = seconds.ok_or_else(|| Rejected::Signature(format!("`{name}` is no time in seconds")))?;
    if request.received_at.micros_since(At::from_seconds(seconds)).abs() <= WINDOW_MICROS {
        return Ok(());
    }
    Err(Rejected::Signature(format!(
        "the time in `{name}` is more than five minutes from ours; is a clock wrong?"
    )))
}

/// Standard Webhooks: `webhook-id`, `webhook-timestamp` and one or more `v1,` signatures in `webhook-signature`; the secret
/// is Base64, with or without `whsec_` before it. Gives the delivery's id.
///
/// # Errors
/// A header is missing, the time is not ours, no signature fits.
pub fn standard_webhook(request: &WebhookRequest, secret: &Secret) -> Result<String, Rejected> {
    let (id, signatures) = (header(request, "webhook-id")?, header(request, "webhook-signature")?);
    is_fresh(request, "webhook-timestamp")?;
    let time = header(request, "webhook-timestamp")?;
    let text = secret.expose();
    let key = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text));
    let key = key
        .map_err(|_| Rejected::Signature("our own secret is no Base64; look at the configuration".into()))?;
    let dot = b".".as_slice();
    let expected = hmac_sha256(&key, &[id.as_bytes(), dot, time.as_bytes(), dot, &request.body]);
    let fits = |text: &str| {
        text.strip_prefix("v1,")
            .and_then(|text| STANDARD.decode(text).ok())
            .is_some_and(|s| is_same(&s, &expected))
    };
    if signatures.split_whitespace().any(fits) { Ok(id.to_owned()) } else { Err(wrong("webhook-signature")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)], body: &str, at: i64) -> WebhookRequest {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (method, path, received_at) = ("POST".into(), "/".into(), At::from_seconds(at));
        WebhookRequest { method, path, headers, body: body.into(), received_at }
    }

    #[test]
    fn the_hmac_is_that_of_rfc_4231() {
        let cases: [(&[u8], &str, &str); 3] = [
            (&[0x0b; 20], "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, data, expected) in cases {
            let (one, two) = data.as_bytes().split_at(3);
            assert_eq!(hex::encode(hmac_sha256(key, &[one, two])), expected);
        }
    }

    #[test]
    fn a_body_that_is_not_the_signed_one_is_refused() {
        let secret = Secret::new("key");
        let digest = hmac_sha256(b"key", &[b"body"]);
        let (digits, letters) = (hex::encode(digest), STANDARD.encode(digest));
        let prefixed = format!("sha256={digits}");
        for signature in [&digits, &prefixed] {
            assert_eq!(hmac_hex(&request(&[("s", signature)], "body", 0), "s", &secret), Ok(()));
            assert!(hmac_hex(&request(&[("s", signature)], "bodY", 0), "s", &secret).is_err());
        }
        assert_eq!(hmac_base64(&request(&[("s", &letters)], "body", 0), "s", &secret), Ok(()));
        assert!(hmac_base64(&request(&[("s", &letters)], "body", 0), "s", &Secret::new("other")).is_err());
        for bad in ["", "00", "no digits", &digits[..62]] {
            assert!(hmac_hex(&request(&[("s", bad)], "body", 0), "s", &secret).is_err(), "{bad}");
        }
        assert!(
            hmac_hex(&request(&[], "body", 0), "s", &secret)
                .unwrap_err()
                .to_string()
                .contains("`s` is missing")
        );
        assert!(!is_same(b"a", b"ab") && !is_same(b"ab", b"a") && is_same(b"", b""));
    }

    #[test]
    fn standard_webhooks_are_signed_with_id_and_time() {
        // The example of the Standard Webhooks specification.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let other = format!("v1,AAAA {signature}");
        let check = |id: &str, signature: &str, at: i64| {
            let headers =
                [("webhook-id", id), ("webhook-timestamp", "1614265330"), ("webhook-signature", signature)];
            standard_webhook(&request(&headers, r#"{"test": 2432232314}"#, at), &secret)
        };
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        assert_eq!(check(id, signature, 1_614_265_330).unwrap(), id);
        assert_eq!(check(id, &other, 1_614_265_330 + 300).unwrap(), id);
        assert!(check(id, signature, 1_614_265_330 + 301).unwrap_err().to_string().contains("five minutes"));
        assert!(check(id, signature, 1_614_265_330 - 301).is_err());
        assert!(check("msg_other", signature, 1_614_265_330).is_err());
    }
}
