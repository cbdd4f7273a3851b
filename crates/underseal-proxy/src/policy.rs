//! The policies: read from files, judged by on each request, read again while requests go on.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use underseal_http::Request;
use underseal_policy::model::{AuthorizationPolicy, Direction};
use underseal_policy::{
    Connection, Decision, Labels, Match, Matcher, PolicyFile, Reason, Verdict, load_all,
};

use super::Error;
use super::metrics::Metrics;
use super::tokens::{self, Tokens, Unusable};
use underseal_server::certificate::Stamp;
use underseal_server::control::{Reload, ReloadError};
use underseal_server::current::Current;

/// What policies are loaded from, and for whom.
pub struct Policies {
    /// Files, and directories of files.
    pub paths: Vec<PathBuf>,
    /// The labels that selectors are compared with.
    pub labels: Labels,
    /// Which policies judge.
    pub direction: Direction,
    /// The port, where no HTTP is spoken on it.
    pub tcp_port: Option<u16>,
}

/// The policies, and those in force.
pub struct Loaded {
    policies: Policies,
    /// Told which policies there are to be counted by.
    metrics: Arc<Metrics>,
    current: Arc<Current<InForce>>,
    /// The files of keys that were named last.
    keys: Mutex<Vec<PathBuf>>,
}

/// What judges requests: replaced together.
pub struct InForce {
    pub(crate) matcher: Matcher,
    pub(crate) tokens: Tokens,
}

/// What files say, and what judges by it.
struct Compiled {
    in_force: InForce,
    policies: Vec<AuthorizationPolicy>,
    keys: Vec<PathBuf>,
}

/// What was decided, as logs and metrics say it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged<'p> {
    pub(crate) decision: Decision<'p>,
    /// The rule that decided. If none allowed the request, the one that came nearest, where
    /// somebody wants to know.
    pub(crate) found: Option<Match<'p>>,
}

impl Judged<'_> {
    /// Where there are no policies.
    pub(crate) const UNJUDGED: Self = Self {
        decision: Decision {
            verdict: Verdict::Allow,
            reason: Reason::NoPolicy,
            audit: None,
        },
        found: None,
    };
}

/// Decides on a request, or on a connection that does not speak HTTP. To `explain` a denial, the
/// rules are asked once more.
pub(crate) fn judge<'p>(
    matcher: &'p Matcher,
    connection: &Connection<'_>,
    request: Option<&Request<'_>>,
    explain: bool,
) -> Judged<'p> {
    let decision = matcher.decide(connection, request);
    let found = match decision.reason {
        Reason::Rule(found) => Some(found),
        Reason::Default if explain => matcher.nearest(connection, request),
        Reason::Default | Reason::NoPolicy => None,
    };
    Judged { decision, found }
}

impl Loaded {
    /// Loads the policies for the first time.
    ///
    /// # Errors
    /// [`Error`], with the file at fault named.
    pub fn load(policies: Policies, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let compiled = policies.compile()?;
        metrics.set_policies(&compiled.policies);
        Ok(Self {
            policies,
            metrics,
            current: Current::new(compiled.in_force),
            keys: Mutex::new(compiled.keys),
        })
    }

    /// Those in force.
    pub fn current(&self) -> &Arc<Current<InForce>> {
        &self.current
    }
}

impl Reload for Loaded {
    fn what(&self) -> &'static str {
        "policy"
    }

    fn stamp(&self) -> Stamp {
        let files = self.policies.files().unwrap_or_default();
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        Stamp::of(files.iter().chain(&*keys).map(|file| &**file))
    }

    fn reload(&self) -> Result<Option<String>, ReloadError> {
        let compiled = self.policies.compile()?;
        let names: Vec<_> = compiled.in_force.matcher.policies().collect();
        let said = format!("in force: {}", names.join(", "));
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = compiled.keys;
        self.current.replace(compiled.in_force);
        self.metrics.set_policies(&compiled.policies);
        Ok(Some(said))
    }
}

impl Policies {
    fn compile(&self) -> Result<Compiled, Error> {
        let files = self.files()?;
        let texts = files.iter().map(|file| read(file));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let names: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
        let named: Vec<_> = names
            .iter()
            .zip(&texts)
            .map(|(name, text)| PolicyFile { name, text })
            .collect();
        let tcp_ports: Vec<_> = self.tcp_port.into_iter().collect();
        let loaded = load_all(&named, &tcp_ports).map_err(|errors| {
            let first = errors.first().map(ToString::to_string);
            wrong(first.unwrap_or_default(), errors.len())
        })?;
        let keys = tokens::files(&loaded);
        let tokens =
            Tokens::compile(&loaded, &self.labels).map_err(|Unusable(why)| wrong(why, 1))?;
        let policies = loaded.policies;
        let compiled = Matcher::new(&policies, &self.labels, self.direction);
        let matcher = compiled.map_err(|faults| {
            let first = faults.first().map(|fault| format!("{fault:?}"));
            wrong(first.unwrap_or_default(), faults.len())
        })?;
        Ok(Compiled {
            in_force: InForce { matcher, tokens },
            policies,
            keys,
        })
    }

    /// The files that are there now; those of a directory in the order of their names.
    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        for path in &self.paths {
            if !path.is_dir() {
                files.push(path.clone());
                continue;
            }
            let before = files.len();
            for entry in fs::read_dir(path).map_err(|error| unreadable(path, error))? {
                let file = entry.map_err(|error| unreadable(path, error))?.path();
                let extension = file.extension().and_then(OsStr::to_str);
                if matches!(extension, Some("yaml" | "yml")) {
                    files.push(file);
                }
            }
            if files.len() == before {
                let directory = path.clone();
                return Err(Error::NoPolicy { directory });
            }
            files[before..].sort();
        }
        Ok(files)
    }
}

fn read(file: &Path) -> Result<String, Error> {
    fs::read_to_string(file).map_err(|error| unreadable(file, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::ReadPolicy {
        path: path.to_owned(),
        error,
    }
}

fn wrong(first: String, count: usize) -> Error {
    Error::Policy { first, count }
}
