//! Holds OpenMetrics text to its format (version 1.0.0), as strictly as the format's grammar is,
//! for what [`super::exposition`] writes: counters, gauges and histograms.

use std::collections::{BTreeMap, BTreeSet};

/// Text that was found to be well-formed.
#[derive(Debug)]
pub(crate) struct Exposition {
    values: BTreeMap<String, f64>,
}

impl Exposition {
    /// The value of a series, with its labels as they are written.
    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.values.get(series).copied()
    }
}

/// The family that the lines being read belong to.
#[derive(Debug)]
struct Family<'t> {
    name: &'t str,
    kind: &'t str,
    /// What is known of it: each comes once, and before its samples.
    seen: BTreeSet<&'t str>,
    sampled: bool,
    bucket: f64,
}

/// Reads `text`.
///
/// # Errors
/// Which line breaks which rule.
pub(crate) fn check(text: &str) -> Result<Exposition, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("no EOF at the end")?;
    let mut values = BTreeMap::new();
    let mut names = BTreeSet::new();
    let mut family: Option<Family<'_>> = None;
    for line in body.split_terminator('\n') {
        let fault = |why: &str| format!("{why}: {line:?}");
        if let Some(comment) = line.strip_prefix("# ") {
            let [kind, name, rest] = split3(comment).ok_or_else(|| fault("no descriptor"))?;
            if family.as_ref().is_none_or(|family| family.name != name) {
                if !names.insert(name) {
                    return Err(fault("a family comes twice"));
                }
                family = Some(Family::new(name));
            }
            let family = family.as_mut().ok_or_else(|| fault("no family"))?;
            family.describe(kind, rest).map_err(|why| fault(&why))?;
        } else {
            let family = family
                .as_mut()
                .ok_or_else(|| fault("a sample without a family"))?;
            let (series, value) = family.sample(line).map_err(|why| fault(&why))?;
            if values.insert(series.to_owned(), value).is_some() {
                return Err(fault("a series comes twice"));
            }
        }
    }
    Ok(Exposition { values })
}

fn split3(text: &str) -> Option<[&str; 3]> {
    let (first, rest) = text.split_once(' ')?;
    let (second, third) = rest.split_once(' ')?;
    Some([first, second, third])
}

impl<'t> Family<'t> {
    fn new(name: &'t str) -> Self {
        Self {
            name,
            kind: "",
            seen: BTreeSet::new(),
            sampled: false,
            bucket: 0.0,
        }
    }

    fn describe(&mut self, kind: &'t str, rest: &'t str) -> Result<(), String> {
        if self.sampled || !self.seen.insert(kind) {
            return Err(format!("{kind} is late or comes twice"));
        }
        let good = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        match kind {
            "HELP" if !rest.is_empty() && good(self.name) => {}
            "TYPE" if ["counter", "gauge", "histogram"].contains(&rest) => self.kind = rest,
            "UNIT" if self.name.ends_with(&format!("_{rest}")) => {}
            _ => return Err("a descriptor that is none".to_owned()),
        }
        Ok(())
    }

    fn sample<'l>(&mut self, line: &'l str) -> Result<(&'l str, f64), String> {
        if !self.seen.contains("HELP") || self.kind.is_empty() {
            return Err("a sample before HELP and TYPE".to_owned());
        }
        self.sampled = true;
        let (series, value) = line.rsplit_once(' ').ok_or("no value")?;
        let number: f64 = value.parse().map_err(|_| "a value that is no number")?;
        let name_end = series.find('{').unwrap_or(series.len());
        let (name, labels) = series.split_at(name_end);
        let labels = read_labels(labels)?;
        let suffix = name.strip_prefix(self.name).ok_or("of another family")?;
        match (self.kind, suffix) {
            ("counter", "_total") if number >= 0.0 => {}
            ("gauge", "") | ("histogram", "_sum" | "_count") => {}
            ("histogram", "_bucket") => {
                labels.get("le").ok_or("a bucket without `le`")?;
                if number < self.bucket {
                    return Err("buckets are not cumulative".to_owned());
                }
                self.bucket = number;
            }
            _ => return Err("a suffix that does not go with the type".to_owned()),
        }
        Ok((series, number))
    }
}

/// `{a="b",c="d"}`, or nothing.
fn read_labels(text: &str) -> Result<BTreeMap<&str, String>, String> {
    let mut labels = BTreeMap::new();
    if text.is_empty() {
        return Ok(labels);
    }
    let mut rest = text.strip_prefix('{').ok_or("no labels")?;
    loop {
        let (name, value) = rest.split_once("=\"").ok_or("a label without a value")?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            return Err(format!("a label name that is none: {name:?}"));
        }
        let (value, after) = read_value(value)?;
        if labels.insert(name, value).is_some() {
            return Err(format!("the label {name} comes twice"));
        }
        match after.as_bytes() {
            b"}" => return Ok(labels),
            [b',', ..] => rest = &after[1..],
            _ => return Err("labels do not end".to_owned()),
        }
    }
}

/// A value up to its quotation mark, and what follows that.
fn read_value(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                _ => return Err("an escape that is none".to_owned()),
            },
            char => value.push(char),
        }
    }
    Err("a value that does not end".to_owned())
}

#[test]
fn what_breaks_the_format_is_found() {
    let good = "# HELP a_b x.\n# TYPE a_b counter\na_b_total{c=\"d\"} 1\n# EOF\n";
    let told = check(good).expect("well-formed");
    assert_eq!(told.value("a_b_total{c=\"d\"}"), Some(1.0));
    for (from, to) in [
        ("# EOF\n", ""),
        ("# HELP a_b x.\n", ""),
        ("# TYPE a_b counter\n", ""),
        ("counter", "summary"),
        ("_total", ""),
        ("a_b_total", "b_total"),
        ("\"d\"", "\"d"),
        ("\"d\"", "\"\\d\""),
        ("c=\"d\"", "c=\"d\",c=\"d\""),
        ("c=\"d\"", "C=\"d\""),
        (" 1\n", "\n"),
        (" 1\n", " x\n"),
        (" 1\n", " 1\na_b_total{c=\"d\"} 1\n"),
        (" 1\n", " 1\n# HELP a_b x.\n"),
        (" 1\n", " 1\n\n"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(check(&bad).is_err(), "{bad}");
    }
}
