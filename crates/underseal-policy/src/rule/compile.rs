//! From the model's rules to compiled ones.

use std::borrow::Cow;

use ipnet::IpNet;

use super::{Clause, Rule, Subject, Test, Values};
use crate::condition::Key;
use crate::model;
use crate::pattern::{self, Pattern};
use crate::token::RequestPrincipal;

/// Compiles rule `index` of policy `policy`.
///
/// # Errors
/// The message about a value that is none; [`crate::validate`] reports it with its path.
pub(crate) fn compile(policy: usize, index: usize, rule: &model::Rule) -> Result<Rule, String> {
    let from = rule.from.iter().map(|from| source(&from.source));
    let to = rule.to.iter().map(|to| operation(&to.operation));
    let mut when = Clause::default();
    for condition in &rule.when {
        add_condition(&mut when, condition)?;
    }
    Ok(Rule {
        policy,
        index,
        from: from.collect::<Result<_, _>>()?,
        to: to.collect::<Result<_, _>>()?,
        when,
    })
}

fn source(source: &model::Source) -> Result<Clause, String> {
    let mut clause = Clause::default();
    let principals = texts(Subject::SourcePrincipal, Pattern::principal);
    clause.add("source.principals", false, &source.principals, &principals)?;
    clause.add(
        "source.notPrincipals",
        true,
        &source.not_principals,
        &principals,
    )?;
    let tokens = &source.request_principals;
    clause.add("source.requestPrincipals", false, tokens, subjects)?;
    let tokens = &source.not_request_principals;
    clause.add("source.notRequestPrincipals", true, tokens, subjects)?;
    let namespaces = texts(Subject::SourceNamespace, Pattern::namespace);
    clause.add("source.namespaces", false, &source.namespaces, &namespaces)?;
    clause.add(
        "source.notNamespaces",
        true,
        &source.not_namespaces,
        &namespaces,
    )?;
    let blocks = |values: &[String]| Ok(Values::SourceBlocks(ip_blocks(values)?));
    clause.add("source.ipBlocks", false, &source.ip_blocks, blocks)?;
    clause.add("source.notIpBlocks", true, &source.not_ip_blocks, blocks)?;
    Ok(clause)
}

fn operation(operation: &model::Operation) -> Result<Clause, String> {
    let mut clause = Clause::default();
    clause.add("operation.ports", false, &operation.ports, ports)?;
    clause.add("operation.notPorts", true, &operation.not_ports, ports)?;
    let hosts = texts(Subject::Host, Pattern::host);
    clause.add("operation.hosts", false, &operation.hosts, &hosts)?;
    clause.add("operation.notHosts", true, &operation.not_hosts, &hosts)?;
    let methods = texts(Subject::Method, Pattern::method);
    clause.add("operation.methods", false, &operation.methods, &methods)?;
    clause.add(
        "operation.notMethods",
        true,
        &operation.not_methods,
        &methods,
    )?;
    let paths = texts(Subject::Path, Pattern::path);
    clause.add("operation.paths", false, &operation.paths, &paths)?;
    clause.add("operation.notPaths", true, &operation.not_paths, &paths)?;
    Ok(clause)
}

fn add_condition(clause: &mut Clause, condition: &model::Condition) -> Result<(), String> {
    let key = Key::parse(&condition.key)?;
    let read = |values: &[String]| -> Result<Values, String> {
        Ok(match (&key, Subject::of(&key)) {
            (_, Some(subject)) => {
                let patterns = values.iter().map(|value| key.pattern(value));
                Values::Texts(subject, patterns.collect::<Result<_, _>>()?)
            }
            (Key::SourceIp, None) => Values::SourceBlocks(ip_blocks(values)?),
            (Key::SourceRemoteIp, None) => Values::RemoteBlocks(ip_blocks(values)?),
            (Key::DestinationIp, None) => Values::DestinationBlocks(ip_blocks(values)?),
            (Key::RequestPrincipal, None) => subjects(values)?,
            (_, None) => ports(values)?,
        })
    };
    for (negated, values) in [(false, &condition.values), (true, &condition.not_values)] {
        clause.add(condition.key.clone(), negated, values, read)?;
    }
    Ok(())
}

impl Clause {
    fn add(
        &mut self,
        attribute: impl Into<Cow<'static, str>>,
        negated: bool,
        values: &[String],
        read: impl Fn(&[String]) -> Result<Values, String>,
    ) -> Result<(), String> {
        if !values.is_empty() {
            self.tests.push(Test {
                attribute: attribute.into(),
                negated,
                values: read(values)?,
            });
        }
        Ok(())
    }
}

fn texts(
    subject: Subject,
    parse: fn(&str) -> Result<Pattern, String>,
) -> impl Fn(&[String]) -> Result<Values, String> {
    move |values| {
        let patterns = values.iter().map(|value| parse(value));
        Ok(Values::Texts(
            subject.clone(),
            patterns.collect::<Result<_, _>>()?,
        ))
    }
}

fn ip_blocks(values: &[String]) -> Result<Vec<IpNet>, String> {
    values
        .iter()
        .map(|value| pattern::ip_block(value))
        .collect()
}

fn subjects(values: &[String]) -> Result<Values, String> {
    let patterns = values.iter().map(|value| RequestPrincipal::parse(value));
    Ok(Values::RequestPrincipals(
        patterns.collect::<Result<_, _>>()?,
    ))
}

fn ports(values: &[String]) -> Result<Values, String> {
    let ports = values.iter().map(|value| pattern::port(value));
    Ok(Values::Ports(ports.collect::<Result<_, _>>()?))
}
