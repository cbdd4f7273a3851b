//! Heads of requests: read, normalised and matched, in HTTP/1.1 and HTTP/2, beside httparse alone.

#[path = "../../../crates/underseal-policy/tests/support/thousand.rs"]
mod thousand;

use std::hint::black_box;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use underseal_http::{ReadOptions, Request, Scratch, http1, http2};
use underseal_policy::model::TrafficDirection;
use underseal_policy::{Connection, Labels, Matcher, Peer, PolicyFile, Verdict, load};

use crate::context::{Context, beside_this_program};
use crate::cpu_time::{pin_to, thread_cpu};
use crate::run::Samples;

/// Names of the rows.
pub mod name {
    /// What splits a head into lines.
    pub const HTTPARSE: &str = "httparse alone";
    /// Reading, which normalises, without a rule.
    pub const HTTP1_READ: &str = "HTTP/1.1: read";
    /// And the rules, of which the last allows it.
    pub const HTTP1_ALLOWED: &str = "HTTP/1.1: read and match, allowed";
    /// And the rules, of which none does.
    pub const HTTP1_DENIED: &str = "HTTP/1.1: read and match, denied";
    /// What is looked for only where a denial is logged: the rule that came nearest.
    pub const NEAREST: &str = "HTTP/1.1: read, and the nearest rule for the log";
    /// The same for fields as HPACK gives them.
    pub const HTTP2_READ: &str = "HTTP/2: read";
    /// And the rules, of which the last allows it.
    pub const HTTP2_ALLOWED: &str = "HTTP/2: read and match, allowed";
    /// And the rules, of which none does.
    pub const HTTP2_DENIED: &str = "HTTP/2: read and match, denied";
}

/// Numbers of rules.
const RULES: [usize; 4] = [1, 10, 100, 1000];

/// Measures how long each takes.
///
/// # Errors
///
/// When the policy does not load, or a head comes to something else than it should.
pub fn measure(context: &Context, round: u32, samples: &mut Samples) -> anyhow::Result<()> {
    let worker = || {
        pin_to(context.cores.measured)?;
        for rules in RULES {
            let subject = Subject::new(rules)?;
            for row in context.in_turn(wanted(context), round) {
                let took = nanoseconds(&subject, row, context.scale.heads)?;
                samples.add(("heads", row.name, &setting(rules), round), &[("ns", took)]);
            }
        }
        Ok(())
    };
    // On a thread of its own, so that the pin ends with the measure.
    std::thread::scope(|scope| scope.spawn(worker).join())
        .unwrap_or_else(|_| bail!("the measure panicked"))
}

/// How a number of rules is called in tables.
pub(super) fn setting(rules: usize) -> String {
    match rules {
        1 => "1 rule".to_owned(),
        rules => format!("{rules} rules"),
    }
}

/// CPU time of one head.
fn nanoseconds(subject: &Subject, row: &Row, heads: usize) -> anyhow::Result<f64> {
    let mut scratch = Scratch::default();
    // Caches and branch predictors are warm, as they are in a busy proxy.
    for _ in 0..heads / 10 {
        check(subject, row, &mut scratch)?;
    }
    let began = thread_cpu();
    for _ in 0..heads {
        check(subject, row, &mut scratch)?;
    }
    Ok((thread_cpu() - began).as_nanos() as f64 / heads as f64)
}

fn check(subject: &Subject, row: &Row, scratch: &mut Scratch) -> anyhow::Result<()> {
    let verdict = (row.judge)(black_box(subject), scratch);
    ensure!(
        verdict == Some(row.expected),
        "{} came to {verdict:?}",
        row.name
    );
    Ok(())
}

/// Counts allocations, in a process whose allocator counts.
///
/// # Errors
///
/// When the process fails.
pub fn count_allocations(
    context: &Context,
    round: u32,
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let mut command = Command::new(beside_this_program("underseal-bench-counted")?);
    command.arg("heads");
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.context("cannot start underseal-bench-counted")?;
    if !output.status.success() {
        bail!("underseal-bench-counted: {}", output.status);
    }
    let counts: Vec<(String, usize, usize)> = serde_json::from_slice(&output.stdout)
        .context("underseal-bench-counted said something odd")?;
    for (row, rules, count) in counts {
        if context.wants(&row) {
            let at = ("allocations", &*row, &*setting(rules), round);
            samples.add(at, &[("allocations", count as f64)]);
        }
    }
    Ok(())
}

/// Row, number of rules and allocations of one head, for each; `count` counts those of a closure.
///
/// # Errors
///
/// As [`measure`].
pub fn allocations(
    count: impl Fn(&mut dyn FnMut()) -> usize,
) -> anyhow::Result<Vec<(String, usize, usize)>> {
    let mut counts = Vec::new();
    for rules in RULES {
        let subject = Subject::new(rules)?;
        for row in &ROWS {
            let mut scratch = Scratch::default();
            let mut verdict = None;
            let allocations = count(&mut || verdict = (row.judge)(&subject, &mut scratch));
            ensure!(
                verdict == Some(row.expected),
                "{} came to {verdict:?}",
                row.name
            );
            counts.push((row.name.to_owned(), rules, allocations));
        }
    }
    Ok(counts)
}

/// A row: what it makes of a head.
struct Row {
    name: &'static str,
    judge: fn(&Subject, &mut Scratch) -> Option<Verdict>,
    expected: Verdict,
}

const ROWS: [Row; 8] = [
    Row {
        name: name::HTTPARSE,
        judge: |subject, _| subject.httparse(),
        expected: Verdict::Allow,
    },
    Row {
        name: name::HTTP1_READ,
        judge: |subject, scratch| subject.read(scratch).map(|_| Verdict::Allow),
        expected: Verdict::Allow,
    },
    Row {
        name: name::HTTP1_ALLOWED,
        judge: |subject, scratch| {
            let request = subject.read(scratch)?;
            Some(subject.decide(PROVEN, &request))
        },
        expected: Verdict::Allow,
    },
    Row {
        name: name::HTTP1_DENIED,
        judge: |subject, scratch| {
            let request = subject.read(scratch)?;
            Some(subject.decide(None, &request))
        },
        expected: Verdict::Deny,
    },
    Row {
        name: name::NEAREST,
        judge: |subject, scratch| {
            let request = subject.read(scratch)?;
            let nearest = subject.matcher.nearest(&connection(None), Some(&request));
            nearest.map(|_| Verdict::Deny)
        },
        expected: Verdict::Deny,
    },
    Row {
        name: name::HTTP2_READ,
        judge: |subject, scratch| subject.read_http2(scratch, |_| Verdict::Allow),
        expected: Verdict::Allow,
    },
    Row {
        name: name::HTTP2_ALLOWED,
        judge: |subject, scratch| {
            subject.read_http2(scratch, |request| subject.decide(PROVEN, request))
        },
        expected: Verdict::Allow,
    },
    Row {
        name: name::HTTP2_DENIED,
        judge: |subject, scratch| {
            subject.read_http2(scratch, |request| subject.decide(None, request))
        },
        expected: Verdict::Deny,
    },
];

const PROVEN: Option<&str> = Some(thousand::PRINCIPAL);

fn wanted(context: &Context) -> Vec<&'static Row> {
    ROWS.iter().filter(|row| context.wants(row.name)).collect()
}

/// A head, as HTTP/1.1 and as fields of HTTP/2, and compiled rules.
struct Subject {
    head: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    matcher: Matcher,
}

impl Subject {
    fn new(rules: usize) -> anyhow::Result<Self> {
        let text = thousand::policy(rules);
        let file = PolicyFile {
            name: "rules.yaml",
            text: &text,
        };
        let policies = load(&[file], &[]).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        let matcher = Matcher::new(&policies, &Labels::new(), TrafficDirection::Ingress);
        let matcher = matcher.map_err(|fault| anyhow::anyhow!("{fault:?}"))?;
        let head = thousand::head();
        Ok(Self {
            fields: fields(&head)?,
            head,
            matcher,
        })
    }

    fn httparse(&self) -> Option<Verdict> {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut headers);
        let status = request.parse(&self.head).ok()?;
        black_box(request.path);
        status.is_complete().then_some(Verdict::Allow)
    }

    fn read<'a>(&'a self, scratch: &'a mut Scratch) -> Option<Request<'a>> {
        let head = http1::read(&self.head, &ReadOptions::default(), scratch).ok()??;
        Some(head.request())
    }

    /// Lends the fields as HPACK does, which is a list that is made for each request.
    fn read_http2(
        &self,
        scratch: &mut Scratch,
        judge: impl FnOnce(&Request<'_>) -> Verdict,
    ) -> Option<Verdict> {
        let mut fields: [http2::Field<'_>; 16] = [(b"", b""); 16];
        let fields = fields.get_mut(..self.fields.len())?;
        for (slot, (name, value)) in fields.iter_mut().zip(&self.fields) {
            *slot = (name, value);
        }
        let request = http2::read(fields, &ReadOptions::default(), scratch).ok()?;
        Some(judge(&request))
    }

    fn decide(&self, principal: Option<&str>, request: &Request<'_>) -> Verdict {
        let connection = connection(principal);
        self.matcher.decide(&connection, Some(request)).verdict
    }
}

fn connection(principal: Option<&str>) -> Connection<'_> {
    Connection {
        source: Peer {
            principal: principal.into(),
            ..Peer::default()
        },
        port: 8443,
        ..Connection::default()
    }
}

/// The fields of HTTP/2 that say what a head of HTTP/1.1 does.
fn fields(head: &[u8]) -> anyhow::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head)?;
    let named = |name: &str| -> &[u8] {
        let mut fields = request.headers.iter();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case(name));
        field.map_or(b"", |field| field.value)
    };
    let pair = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
    let mut fields = vec![
        pair(":method", request.method.unwrap_or_default().as_bytes()),
        pair(":scheme", b"https"),
        pair(":authority", named("host")),
        pair(":path", request.path.unwrap_or_default().as_bytes()),
    ];
    let of_http1 = ["host", "connection"];
    let regular = request.headers.iter();
    let regular = regular.map(|field| pair(&field.name.to_ascii_lowercase(), field.value));
    let is_kept = |name: &[u8]| !of_http1.iter().any(|other| name == other.as_bytes());
    fields.extend(regular.filter(|(name, _)| is_kept(name)));
    Ok(fields)
}
