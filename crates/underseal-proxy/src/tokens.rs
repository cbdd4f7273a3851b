//! The tokens of requests: found where the issuer's rule says, verified once, remembered until they
//! expire.

mod cache;
mod keys;
mod locations;
mod signature;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::{Map, Value};
use underseal_http::Request;
use underseal_policy::model::JwtRule;
use underseal_policy::{Asked, Claims, Labels, Loaded, Matcher, Token};

pub(crate) use self::cache::Cache;
use self::cache::Entry;
use self::keys::Key;
pub(crate) use self::keys::Unusable;
use self::locations::Location;

/// How long a token may be, in bytes: longer than any that a head of the default size has beside
/// its other fields.
const MAX_TOKEN: usize = 8 * 1024;

/// How far clocks may be apart, in seconds, as Envoy has it.
const LEEWAY: u64 = 60;

/// The token of a request is not believed, or there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadToken;

/// Which tokens are believed.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    rules: Vec<Rule>,
    /// Where tokens of any rule stand.
    locations: Vec<Location>,
    /// Told from those before and after it: what others verified is not believed.
    generation: u64,
}

/// An issuer.
#[derive(Debug)]
struct Rule {
    /// `None` for any.
    issuer: Option<String>,
    keys: Vec<Key>,
    /// Those of [`Tokens::locations`] where its tokens stand.
    locations: Vec<usize>,
    /// Without the algorithms, which are a key's.
    validation: Validation,
    spaced: Vec<String>,
}

/// What was found of the token of a request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Found {
    /// Nobody looked for one.
    #[default]
    Unknown,
    Absent,
    Is(Rc<Claims>),
}

impl Found {
    /// As policies ask for it.
    pub(crate) fn token(&self) -> Token<'_> {
        match self {
            Self::Unknown => Token::Unknown,
            Self::Absent => Token::Absent,
            Self::Is(claims) => Token::Is(claims),
        }
    }
}

impl Tokens {
    /// Those that a workload with `labels` believes.
    ///
    /// # Errors
    /// The first set of keys that cannot be read or used.
    pub(crate) fn compile(loaded: &Loaded, labels: &Labels) -> Result<Self, Unusable> {
        static GENERATION: AtomicU64 = AtomicU64::new(0);
        signature::install();
        let mut tokens = Self {
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
            ..Self::default()
        };
        for found in &loaded.authentications {
            if found.says.applies(labels) {
                for rule in &found.says.spec.jwt_rules {
                    tokens.add(&found.file, rule)?;
                }
            }
        }
        Ok(tokens)
    }

    /// What policies and these ask of requests.
    pub(crate) fn asked(&self, matcher: &Matcher) -> Asked {
        let mut asked = matcher.asked().clone();
        for location in &self.locations {
            if let Some(name) = location.field() {
                asked.add_field(name.as_bytes());
            }
        }
        asked
    }

    fn add(&mut self, file: &str, rule: &JwtRule) -> Result<(), Unusable> {
        let locations = Location::all(rule).into_iter();
        let locations = locations.map(|location| self.location(location)).collect();
        self.rules.push(Rule {
            issuer: rule.issuer.clone(),
            keys: keys::of(file, rule)?,
            locations,
            validation: validation(rule),
            spaced: rule.space_delimited_claims.clone(),
        });
        Ok(())
    }

    fn location(&mut self, location: Location) -> usize {
        let known = self.locations.iter().position(|known| *known == location);
        known.unwrap_or_else(|| {
            self.locations.push(location);
            self.locations.len() - 1
        })
    }

    /// The token of a request.
    ///
    /// # Errors
    /// [`BadToken`] if there is one and it is not believed, or if there are several: which of them a
    /// service takes, nobody knows.
    pub(crate) fn find(&self, request: &Request<'_>, cache: &mut Cache) -> Result<Found, BadToken> {
        if self.rules.is_empty() {
            return Ok(Found::Unknown);
        }
        let mut found = None;
        for (index, location) in self.locations.iter().enumerate() {
            location.each(request, |token| match found {
                None => {
                    found = Some((index, token));
                    Ok(())
                }
                Some(_) => Err(BadToken),
            })?;
        }
        match found {
            None => Ok(Found::Absent),
            Some((location, token)) => self.verify(location, &token, now(), cache).map(Found::Is),
        }
    }

    fn verify(
        &self,
        location: usize,
        token: &[u8],
        now: u64,
        cache: &mut Cache,
    ) -> Result<Rc<Claims>, BadToken> {
        if token.len() > MAX_TOKEN {
            return Err(BadToken);
        }
        cache.belong_to(self.generation);
        if let Some(claims) = cache.get(token, location, now) {
            return Ok(claims);
        }
        let mut rules = self.rules.iter();
        let payload = rules.find_map(|rule| {
            let is_there = rule.locations.contains(&location);
            is_there.then(|| rule.verify(token)).flatten()
        });
        let (payload, spaced) = payload.ok_or(BadToken)?;
        let expires = payload.get("exp").and_then(Value::as_f64);
        let claims = Rc::new(Claims::new(payload, spaced));
        cache.put(
            token,
            Entry {
                location,
                // A number of seconds, which fits; later than any is never.
                expires: expires
                    .map_or(u64::MAX, |seconds| (seconds as u64).saturating_add(LEEWAY)),
                claims: Rc::clone(&claims),
            },
        );
        Ok(claims)
    }
}

impl Rule {
    /// The claims of a token that one of the keys signed.
    fn verify(&self, token: &[u8]) -> Option<(Map<String, Value>, &[String])> {
        let header = decode_header(token).ok()?;
        // What has to be understood, and is not (RFC 7515 section 4.1.11).
        if header.crit.is_some() {
            return None;
        }
        let id = header.kid.as_deref();
        // Those without a name only where none has the token's.
        let is_known = self.keys.iter().any(|key| key.is_named(id));
        let is_meant = |key: &&Key| key.may_be(id, header.alg) && (!is_known || key.is_named(id));
        let mut keys = self.keys.iter().filter(is_meant);
        // One that nobody signed is tried with each, every time that it comes.
        if keys.clone().count() > keys::MOST_TRIED {
            return None;
        }
        keys.find_map(|key| {
            let mut validation = self.validation.clone();
            validation.algorithms = key.algorithms.clone();
            let data = decode::<Map<String, Value>>(token, &key.key, &validation).ok()?;
            let issuer = data.claims.get("iss").and_then(Value::as_str);
            let is_issuer = self.issuer.is_none() || self.issuer.as_deref() == issuer;
            is_issuer.then_some((data.claims, &*self.spaced))
        })
    }
}

fn validation(rule: &JwtRule) -> Validation {
    let mut validation = Validation {
        leeway: LEEWAY,
        validate_nbf: true,
        ..Validation::default()
    };
    // A token without it does not expire (RFC 7519 section 4.1.4).
    validation.required_spec_claims.clear();
    if rule.audiences.is_empty() {
        validation.validate_aud = false;
    } else {
        validation.set_audience(&rule.audiences);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    validation
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The files that keys are read from.
pub(crate) fn files(loaded: &Loaded) -> Vec<PathBuf> {
    let authentications = loaded.authentications.iter();
    let files = authentications.flat_map(|found| {
        let rules = found.says.spec.jwt_rules.iter();
        rules.filter_map(|rule| keys::file(&found.file, rule))
    });
    files.collect()
}

#[cfg(test)]
mod tests;
