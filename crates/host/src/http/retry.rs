//! When a request that is harmless to repeat is sent again, and after how long. Never repeats any other.

use std::future::Future;
use std::time::Duration;

use zyklus_connect::{HttpError, HttpErrorKind, HttpResponse};
use zyklus_model::At;

/// Tries after the first.
pub(crate) const MOST_RETRIES: u32 = 3;
/// A longer `Retry-After` is the caller's to wait for, not the host's.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);

const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// How long the answer asks to wait: seconds or an HTTP date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(response: &HttpResponse, now: At) -> Option<Duration> {
    let text = response.headers.get("retry-after")?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let micros = at.as_microsecond().saturating_sub(now.as_micros());
    Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

/// Full jitter: anywhere between nothing and a bound that doubles with each try.
fn jitter(retry: u32) -> Duration {
    let bound = FIRST_DELAY.saturating_mul(1 << retry.min(10)).min(LONGEST_DELAY);
    bound.mul_f64(rand::random::<f64>())
}

/// How long to wait before the next try, if there is to be one.
fn next_try(result: &Result<HttpResponse, HttpError>, retry: u32, now: At) -> Option<Duration> {
    match result {
        Ok(response) if matches!(response.status, 429 | 502 | 503 | 504) => {
            match retry_after(response, now) {
                Some(wait) if wait > LONGEST_WAIT => None,
                Some(wait) => Some(wait),
                None => Some(jitter(retry)),
            }
        }
        Ok(_) => None,
        Err(error) => match error.kind {
            HttpErrorKind::Connect | HttpErrorKind::NoAnswer => Some(jitter(retry)),
            HttpErrorKind::Refused
            | HttpErrorKind::TooLarge
            | HttpErrorKind::Cancelled
            | HttpErrorKind::NotRecorded => None,
        },
    }
}

/// Runs `attempt` until it gives an answer worth having, at most [`MOST_RETRIES`] times more. The last answer
/// is handed back whatever it is.
pub(crate) async fn with_retries<F>(
    now: impl Fn() -> At,
    mut attempt: impl FnMut() -> F,
) -> Result<HttpResponse, HttpError>
where
    F: Future<Output = Result<HttpResponse, HttpError>>,
{
    let mut retry = 0;
    loop {
        let result = attempt().await;
        match next_try(&result, retry, now()) {
            Some(wait) if retry < MOST_RETRIES => tokio::time::sleep(wait).await,
            _ => return result,
        }
        retry += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn answer(status: u16, retry_after: Option<&str>) -> Result<HttpResponse, HttpError> {
        let headers = retry_after.map(|v| ("retry-after".to_owned(), v.to_owned())).into_iter().collect();
        Ok(HttpResponse { status, headers, body: Vec::new() })
    }

    /// The status handed back, how often it was asked, and how long it took.
    async fn run(answers: Vec<Result<HttpResponse, HttpError>>) -> (Option<u16>, usize, Duration) {
        let asked = Cell::new(0);
        let begun = tokio::time::Instant::now();
        let last = answers.len() - 1;
        let result = with_retries(
            || At::from_seconds(784_111_777),
            || {
                let n = asked.get();
                asked.set(n + 1);
                std::future::ready(answers[n.min(last)].clone())
            },
        )
        .await;
        (result.ok().map(|r| r.status), asked.get(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_waited_for_in_seconds_and_as_a_date() {
        let (status, asked, took) = run(vec![answer(429, Some("7")), answer(200, None)]).await;
        assert_eq!((status, asked), (Some(200), 2));
        assert!(took >= Duration::from_secs(7) && took < Duration::from_secs(8), "{took:?}");
        // 784_111_777 is Sun, 06 Nov 1994 08:49:37 GMT.
        let date = "Sun, 06 Nov 1994 08:50:07 GMT";
        let (status, asked, took) = run(vec![answer(503, Some(date)), answer(200, None)]).await;
        assert_eq!((status, asked), (Some(200), 2));
        assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(31), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_retry_after_is_handed_back_at_once() {
        let (status, asked, took) = run(vec![answer(429, Some("61"))]).await;
        assert_eq!((status, asked, took), (Some(429), 1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn four_tries_and_then_the_last_answer() {
        let (status, asked, _) = run(vec![answer(502, None)]).await;
        assert_eq!((status, asked), (Some(502), 4));
        let lost = HttpError { kind: HttpErrorKind::NoAnswer, message: String::new() };
        let (status, asked, _) = run(vec![Err(lost), answer(200, None)]).await;
        assert_eq!((status, asked), (Some(200), 2));
        let (status, asked, _) = run(vec![answer(500, None)]).await;
        assert_eq!((status, asked), (Some(500), 1));
    }
}
