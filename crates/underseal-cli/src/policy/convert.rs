//! `underseal policy convert`.

use std::collections::BTreeMap;

use underseal_policy::{
    ConvertOptions, Document, LoadError, Note, Outcome, PolicyFile, RemoteIp, convert, examine,
};

use super::arguments::{ConvertArgs, Format};
use super::{Files, check, print};
use crate::exit::{Exit, Failure, say};

/// Prints the policies of the files in underseal's words, and on stderr what they compare
/// differently; or what became of each document.
///
/// # Errors
/// [`Exit::Policy`] when a file cannot be read, or says something that cannot be said; then nothing
/// is printed but the errors.
pub(super) fn run(args: &ConvertArgs) -> Result<(), Failure> {
    let options = options(args)?;
    let files = Files::read(&args.files)?;
    let policy_files = files.policy_files();
    if let Some(format) = args.report {
        return report(&policy_files, &options, format);
    }
    let converted = convert(&policy_files, &options).map_err(|errors| {
        say(&errors.iter().map(check::text).collect::<String>());
        refused(errors.len())
    })?;
    say(&converted.notes.iter().map(note).collect::<String>());
    print(&converted.to_yaml())
}

/// What the command line says.
///
/// # Errors
/// [`Exit::Usage`] when a name has two ports, or an address two files.
fn options(args: &ConvertArgs) -> Result<ConvertOptions, Failure> {
    let named_ports = once(&args.named_port).map_err(|name| {
        Failure::new(
            Exit::Usage,
            format!("`--named-port {name}` is given with two ports"),
            "convert the policies of those workloads apart",
        )
    })?;
    let jwks = once(&args.jwks).map_err(|address| {
        Failure::new(
            Exit::Usage,
            format!("`--jwks {address}` is given with two files"),
            "name one file, with the keys of both",
        )
    })?;
    Ok(ConvertOptions {
        namespace: args.namespace.clone(),
        trust_domain: args.trust_domain.clone(),
        trust_domain_aliases: args.trust_domain_alias.clone(),
        root_namespace: args.root_namespace.clone(),
        cluster_blocks: args.cluster_block.clone(),
        host_blocks: args.host_block.clone(),
        named_ports,
        remote_ip: remote_ip(args),
        jwks,
    })
}

/// What each name is given.
///
/// # Errors
/// A name that is given two things.
fn once<T: Clone + PartialEq>(given: &[(String, T)]) -> Result<BTreeMap<String, T>, &str> {
    let last: BTreeMap<_, _> = given.iter().cloned().collect();
    let twice = |(name, value): &&(String, T)| last.get(name) != Some(value);
    match given.iter().find(twice) {
        Some((name, _)) => Err(name),
        None => Ok(last),
    }
}

fn remote_ip(args: &ConvertArgs) -> RemoteIp {
    match (args.no_trusted_proxies, args.trusted_proxies) {
        (true, _) => RemoteIp::Peer,
        (_, true) => RemoteIp::Told,
        _ => RemoteIp::Unknown,
    }
}

fn report(
    files: &[PolicyFile<'_>],
    options: &ConvertOptions,
    format: Format,
) -> Result<(), Failure> {
    let documents = examine(files, options);
    let line = match format {
        Format::Text => text,
        Format::Json => json,
    };
    print(&documents.iter().map(line).collect::<String>())?;
    let refused_documents = documents.iter();
    let errors: usize = refused_documents
        .filter(|document| document.outcome == Outcome::Refused)
        .map(|document| document.errors.len())
        .sum();
    if errors > 0 {
        return Err(refused(errors));
    }
    Ok(())
}

fn refused(errors: usize) -> Failure {
    Failure::new(
        Exit::Policy,
        format!("{}, nothing is converted", check::errors(errors)),
        "what cannot be said exactly is refused; write that part by hand",
    )
}

pub(super) fn note(note: &Note) -> String {
    let (line, column) = (note.location.line, note.location.column);
    let path = if note.path.is_empty() {
        String::new()
    } else {
        format!("{}: ", note.path)
    };
    format!(
        "note: {}:{line}:{column}: {path}{}\n",
        note.file, note.message
    )
}

fn text(document: &Document) -> String {
    let Document {
        file,
        location,
        kind,
        ..
    } = document;
    let what = [kind, &*document.name].join(" ");
    let outcome = document.outcome.as_str();
    let mut text = format!("{outcome:<11} {file}:{}: {}\n", location.line, what.trim());
    let errors = document.errors.iter().map(LoadError::to_string);
    let notes = document
        .notes
        .iter()
        .map(|found| note(found).trim_end().to_owned());
    for reason in errors.chain(notes) {
        text += &format!("            {reason}\n");
    }
    text
}

fn json(document: &Document) -> String {
    let reason = |location: underseal_policy::Location, path: &str, message: &str| {
        serde_json::json!({
            "line": location.line,
            "column": location.column,
            "path": path,
            "message": message,
        })
    };
    let errors = document.errors.iter();
    let errors = errors.map(|error| reason(error.location, &error.path, &error.message));
    let notes = document.notes.iter();
    let notes = notes.map(|note| reason(note.location, &note.path, &note.message));
    let object = serde_json::json!({
        "file": document.file,
        "line": document.location.line,
        "column": document.location.column,
        "kind": document.kind,
        "name": document.name,
        "outcome": document.outcome.as_str(),
        "reasons": errors.chain(notes).collect::<Vec<_>>(),
    });
    format!("{object}\n")
}
