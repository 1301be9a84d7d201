//! Codes of an app (TOTP, RFC 6238) as every app makes them: SHA-1, six digits, a step of 30 seconds.

use jiff::Timestamp;
use totp_rs::{Builder, Secret as Bytes, Totp};

use crate::error::{Error, Result};

/// How long a code holds, seconds.
const STEP: i64 = 30;
/// Steps before and after the present one that are taken too: clocks differ and people type slowly.
const WINDOW: i64 = 1;

/// What a person's app and we know: 160 bits. It shows itself nowhere but where it is set up.
pub struct Secret(Bytes);

/// What a code is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It holds now: the step that it is of, which is to be remembered.
    Holds(i64),
    /// It would hold, but it or a later one was taken before.
    Used,
    /// It is none of this secret's codes just now.
    Nothing,
}

impl Secret {
    /// A new one, from the system's randomness.
    pub fn generate() -> Self {
        Self(Bytes::generate())
    }

    /// One that was kept.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Bytes::from(bytes))
    }

    /// To be kept sealed.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// To be typed into an app: base32 in groups of four.
    pub fn text(&self) -> String {
        let base32 = self.0.to_base32();
        let groups = base32.as_bytes().chunks(4).map(String::from_utf8_lossy);
        groups.collect::<Vec<_>>().join(" ")
    }

    /// To be scanned by an app: `otpauth://totp/prommgr:NAME@HOST?…`
    pub fn url(&self, name: &str, host: &str) -> Result<String> {
        // apps split the label at a colon
        let account = format!("{name}@{host}").replace(':', ".");
        let builder = Builder::new().with_secret(self.0.clone()).with_issuer(Some("prommgr"));
        builder
            .with_account_name(account)
            .build()
            .and_then(|totp| totp.to_url())
            .map_err(|error| Error::Internal(anyhow::anyhow!("no otpauth link: {error}")))
    }

    /// What a code of six digits is worth at a moment, when no code of the step `last` or an earlier one
    /// is taken any more.
    pub fn worth(&self, code: &str, at: Timestamp, last: i64) -> Result<Worth> {
        let totp = self.totp()?;
        let now = at.as_second().div_euclid(STEP);
        let mut used = false;
        for step in (now - WINDOW).max(0)..=now + WINDOW {
            if totp.check(code, u64::try_from(step * STEP).map_err(Error::internal)?).is_none() {
                continue;
            }
            if step > last {
                return Ok(Worth::Holds(step));
            }
            used = true;
        }
        Ok(if used { Worth::Used } else { Worth::Nothing })
    }

    /// The code of a moment, as the app shows it.
    pub fn code(&self, at: Timestamp) -> Result<String> {
        let at = u64::try_from(at.as_second()).map_err(Error::internal)?;
        Ok(self.totp()?.generate(at).to_string())
    }

    fn totp(&self) -> Result<Totp> {
        let builder = Builder::new().with_secret(self.0.clone()).with_skew(0);
        builder.build().map_err(|error| Error::Internal(anyhow::anyhow!("a secret of no use: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc() -> Secret {
        Secret::from_bytes(b"12345678901234567890".to_vec())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // appendix B of RFC 6238, the last six of eight digits
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            assert_eq!(rfc().code(at(second)).unwrap(), code);
            assert_eq!(rfc().worth(code, at(second), 0).unwrap(), Worth::Holds(second / 30));
        }
    }

    #[test]
    fn a_code_holds_one_step_before_and_after_its_own() {
        let code = rfc().code(at(1_234_567_890)).unwrap(); // of the step from …890 until …919
        let step = 1_234_567_890 / 30;
        for (second, worth) in [
            (1_234_567_859, Worth::Nothing),
            (1_234_567_860, Worth::Holds(step)),
            (1_234_567_890, Worth::Holds(step)),
            (1_234_567_949, Worth::Holds(step)),
            (1_234_567_950, Worth::Nothing),
        ] {
            assert_eq!(rfc().worth(&code, at(second), 0).unwrap(), worth, "{second}");
        }
    }

    #[test]
    fn no_code_is_taken_twice_nor_an_older_one_after_it() {
        let moment = at(1_234_567_890);
        let step = 1_234_567_890 / 30;
        let code_of = |step: i64| rfc().code(at(step * 30)).unwrap();
        assert_eq!(rfc().worth(&code_of(step), moment, step - 1).unwrap(), Worth::Holds(step));
        assert_eq!(rfc().worth(&code_of(step), moment, step).unwrap(), Worth::Used);
        assert_eq!(rfc().worth(&code_of(step - 1), moment, step).unwrap(), Worth::Used);
        assert_eq!(rfc().worth(&code_of(step + 1), moment, step).unwrap(), Worth::Holds(step + 1));
    }

    #[test]
    fn what_is_no_code_is_worth_nothing() {
        for code in ["", "00592", "0059240", "+05924", "OO5924", "005924 ", "００５９２４"] {
            assert_eq!(rfc().worth(code, at(1_234_567_890), 0).unwrap(), Worth::Nothing, "{code}");
        }
    }

    #[test]
    fn secrets_are_new_each_time_and_readable() {
        let (one, other) = (Secret::generate(), Secret::generate());
        assert_ne!(one.as_bytes(), other.as_bytes());
        assert_eq!(one.as_bytes().len(), 20);
        assert_eq!(rfc().text(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
    }

    #[test]
    fn the_link_names_person_and_host() {
        assert_eq!(
            rfc().url("alice", "prommgr.example").unwrap(),
            "otpauth://totp/prommgr:alice%40prommgr.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=prommgr"
        );
        let odd = rfc().url("a:b c&d", "[::1]").unwrap();
        assert!(odd.starts_with("otpauth://totp/prommgr:a.b%20c%26d%40"), "{odd}");
        assert_eq!(odd.matches(':').count(), 2, "{odd}");
    }
}
