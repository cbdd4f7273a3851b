//! The policies: read from files, judged by on each request, read again while requests go on.

pub mod files;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use underseal_http::Request;
use underseal_http::fields::is_ours;
use underseal_policy::model::{AuthorizationPolicy, TrafficDirection};
use underseal_policy::{
    Asked, Connection, Decision, Labels, Match, Matcher, PolicyFile, Reason, TcpPorts, Verdict,
    applies, load_without_http,
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
    pub direction: TrafficDirection,
    /// The ports that rules are asked about, where no HTTP is spoken on them; where it is, none.
    pub tcp_ports: TcpPorts,
    /// Whether policies may be there of which none is for this workload.
    pub allow_unselected: bool,
}

/// The policies, and those in force.
pub struct Loaded {
    policies: Policies,
    /// Told which policies there are to be counted by.
    metrics: Arc<Metrics>,
    current: Arc<Current<InForce>>,
    /// The files of keys that were named last.
    keys: Mutex<Vec<PathBuf>>,
    /// What was found first.
    selected: Selected,
    first: Stamp,
}

/// What judges requests: replaced together.
pub struct InForce {
    pub(crate) matcher: Matcher,
    pub(crate) tokens: Tokens,
    /// What both ask of requests.
    pub(crate) asked: Asked,
}

/// Which trailers a client's body may not have: those that say who it is, and those whose name was
/// judged. They come after the verdict.
#[derive(Clone)]
pub(crate) struct Guard(Option<Arc<InForce>>);

impl Guard {
    /// By the policies that judged the head, if there are any.
    pub(crate) fn new(in_force: Option<Arc<InForce>>) -> Self {
        Self(in_force)
    }

    pub(crate) fn refuses(&self, name: &[u8]) -> bool {
        let in_force = self.0.as_ref();
        is_ours(name) || in_force.is_some_and(|in_force| in_force.asked.field(name))
    }

    /// Whether there is a guard, and it refuses one of them.
    pub(crate) fn refuses_any(guard: Option<&Self>, trailers: &HeaderMap) -> bool {
        let mut names = trailers.keys().map(|name| name.as_str().as_bytes());
        guard.is_some_and(|guard| names.any(|name| guard.refuses(name)))
    }
}

/// What files say, and what judges by it.
struct Compiled {
    in_force: InForce,
    selected: Selected,
    policies: Vec<AuthorizationPolicy>,
    keys: Vec<PathBuf>,
    /// All these files, as they were before they were read.
    stamp: Stamp,
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
            selected: compiled.selected,
            first: compiled.stamp,
            policies,
            metrics,
            current: Current::new(compiled.in_force),
            keys: Mutex::new(compiled.keys),
        })
    }

    /// How many policies there were at first, and what was not read.
    pub fn selected(&self) -> &Selected {
        &self.selected
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

    fn first(&self) -> &Stamp {
        &self.first
    }

    fn stamp(&self) -> Stamp {
        let found = files::find(&self.policies.paths).unwrap_or_default();
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        stamp(&found.files).and(stamp(&keys))
    }

    fn reload(&self) -> Result<Option<String>, ReloadError> {
        let compiled = self.policies.compile()?;
        let names: Vec<_> = compiled.in_force.matcher.policies().collect();
        let said = format!("in force: {} ({})", names.join(", "), compiled.selected);
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = compiled.keys;
        self.current.replace(compiled.in_force);
        self.metrics.set_policies(&compiled.policies);
        Ok(Some(said))
    }
}

impl Policies {
    fn compile(&self) -> Result<Compiled, Error> {
        let files::Found { files, unread } = files::find(&self.paths)?;
        let read_first = stamp(&files);
        let texts = files.iter().map(|file| read(file));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let names: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
        let named: Vec<_> = names
            .iter()
            .zip(&texts)
            .map(|(name, text)| PolicyFile { name, text })
            .collect();
        let is_for = |policy: &AuthorizationPolicy| self.is_for(policy);
        let loaded = load_without_http(&named, &self.tcp_ports, is_for).map_err(|errors| {
            let first = errors.first().map(ToString::to_string);
            wrong(first.unwrap_or_default(), errors.len())
        })?;
        for file in &unread {
            tracing::warn!("policy: {} is not read", file.display());
        }
        for note in &loaded.passed_over {
            tracing::warn!(
                "policy: {}:{}: {}",
                note.file,
                note.location.line,
                note.message
            );
        }
        let selected = self.select(&loaded, unread)?;
        let keys = tokens::files(&loaded);
        let stamp = read_first.and(stamp(&keys));
        let tokens =
            Tokens::compile(&loaded, &self.labels).map_err(|Unusable(why)| wrong(why, 1))?;
        let policies = loaded.policies;
        let compiled = Matcher::new(&policies, &self.labels, self.direction);
        let matcher = compiled.map_err(|faults| {
            let first = faults.first().map(|fault| format!("{fault:?}"));
            wrong(first.unwrap_or_default(), faults.len())
        })?;
        Ok(Compiled {
            in_force: InForce {
                asked: tokens.asked(&matcher),
                matcher,
                tokens,
            },
            selected,
            policies,
            keys,
            stamp,
        })
    }
}

impl Policies {
    /// Whether a policy is for this workload.
    fn is_for(&self, policy: &AuthorizationPolicy) -> bool {
        applies(policy, &self.labels, self.direction)
    }

    /// How many of what was loaded is for this workload.
    ///
    /// # Errors
    /// [`Error::Unselected`] where none is: whoever wrote them wanted something to be judged.
    fn select(
        &self,
        loaded: &underseal_policy::Loaded,
        unread: Vec<PathBuf>,
    ) -> Result<Selected, Error> {
        let (policies, tokens) = (&loaded.policies, &loaded.authentications);
        let is_for = policies.iter().filter(|policy| self.is_for(policy));
        let of_policies = (is_for.count(), policies.len());
        let believed = tokens
            .iter()
            .filter(|token| token.says.applies(&self.labels));
        let of_tokens = (believed.count(), tokens.len());
        let selected = Selected {
            policies: of_policies,
            tokens: of_tokens,
            direction: self.direction,
            labels: self.labels.clone(),
            unread,
        };
        let (count, all) = if of_policies.1 > 0 {
            of_policies
        } else {
            of_tokens
        };
        if count == 0 && all > 0 && !self.allow_unselected {
            return Err(Error::Unselected(selected.to_string()));
        }
        Ok(selected)
    }
}

/// How much of what was loaded is for the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Policies that are, and all.
    pub policies: (usize, usize),
    /// Rules on tokens that are, and all.
    pub tokens: (usize, usize),
    /// Which way is judged.
    pub direction: TrafficDirection,
    /// What selectors are compared with.
    pub labels: Labels,
    /// What lies in directories of policies and is not read.
    pub unread: Vec<PathBuf>,
}

impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (selected, all) = self.policies;
        write!(f, "{selected} of {all} policies")?;
        if self.tokens.1 > 0 {
            write!(
                f,
                " and {} of {} rules on tokens",
                self.tokens.0, self.tokens.1
            )?;
        }
        let direction = self.direction.as_str().to_ascii_lowercase();
        write!(f, " are for this workload: {direction}, ")?;
        if self.labels.is_empty() {
            return f.write_str("no label");
        }
        let labels = self.labels.iter();
        let labels: Vec<_> = labels
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        write!(f, "label {}", labels.join(", "))
    }
}

fn stamp(files: &[PathBuf]) -> Stamp {
    Stamp::of(files.iter().map(|file| &**file))
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
