//! From an expression to the sequences of parts that it matches, one for each way to choose.

mod dialect;

use regex_syntax::ast;
use regex_syntax::hir::translate::Translator;
use regex_syntax::hir::{Class, Dot, Hir, HirKind, Look, Repetition};

use self::dialect::Dialect;
use super::Kind;

/// How many alternatives one expression may have.
const MAX_ALTERNATIVES: usize = 64;

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    /// `.`
    AnyByte,
    /// `.*`
    Anything,
    /// `.+`
    Something,
    /// `[^/]+`
    Segment,
}

/// What is chosen between.
type Choices = Vec<Vec<Part>>;

/// The sequences of `expression`.
pub(super) fn sequences(expression: &str, kind: Kind) -> Result<Choices, String> {
    let unknown = || format!("is no regular expression that is known here: `{expression}`");
    let says = |what: &str| format!("no pattern says {what} in `{expression}`");
    let tree = ast::parse::Parser::new().parse(expression);
    let tree = tree.map_err(|_| unknown())?;
    ast::visit(&tree, Dialect { expression }).map_err(says)?;
    let hir = Translator::new().translate(expression, &tree);
    let hir = hir.map_err(|_| unknown())?;
    let mut found = Vec::new();
    for sequence in Expression::choices(&hir, true, true).map_err(says)? {
        found.extend(split(sequence, kind));
    }
    if found.len() > MAX_ALTERNATIVES {
        return Err(says("more than 64 alternatives"));
    }
    Ok(found)
}

/// `.+` behind a slash, at the end of a path, is a segment and perhaps more: in normal form there is
/// no empty segment but the last.
fn split(mut sequence: Vec<Part>, kind: Kind) -> Choices {
    let is_split =
        matches!(&*sequence, [.., Part::Literal(text), Part::Something] if text.ends_with('/'));
    if kind != Kind::Path || !is_split {
        return vec![sequence];
    }
    sequence.pop();
    sequence.push(Part::Segment);
    let mut longer = sequence.clone();
    longer.extend([Part::Literal("/".to_owned()), Part::Anything]);
    vec![sequence, longer]
}

/// The expression as it is walked through.
struct Expression;

impl Expression {
    /// The choices of a part; `first` and `last` say whether it stands at an end of the whole.
    fn choices(hir: &Hir, first: bool, last: bool) -> Result<Choices, &'static str> {
        match hir.kind() {
            HirKind::Empty => Ok(vec![Vec::new()]),
            HirKind::Literal(literal) => {
                let text = str::from_utf8(&literal.0).map_err(|_| "the bytes")?;
                Ok(vec![vec![Part::Literal(text.to_owned())]])
            }
            HirKind::Look(Look::Start) if first => Ok(vec![Vec::new()]),
            HirKind::Look(Look::End) if last => Ok(vec![Vec::new()]),
            HirKind::Look(_) => Err("the boundary"),
            HirKind::Class(class) => Self::class(class),
            HirKind::Repetition(repetition) => Self::repeated(repetition),
            HirKind::Capture(capture) => Self::choices(&capture.sub, first, last),
            HirKind::Concat(parts) => Self::concat(parts, first, last),
            HirKind::Alternation(parts) => {
                let mut choices = Vec::new();
                for part in parts {
                    choices.extend(Self::choices(part, first, last)?);
                }
                Ok(choices)
            }
        }
    }

    fn concat(parts: &[Hir], first: bool, last: bool) -> Result<Choices, &'static str> {
        let mut choices = vec![Vec::new()];
        for (index, part) in parts.iter().enumerate() {
            let is_last = last && index + 1 == parts.len();
            let next = Self::choices(part, first && index == 0, is_last)?;
            if choices.len() * next.len() > MAX_ALTERNATIVES {
                return Err("more than 64 alternatives");
            }
            choices = choices
                .iter()
                .flat_map(|start| next.iter().map(move |end| [&start[..], end].concat()))
                .collect();
        }
        Ok(choices)
    }

    /// One of a few characters, or any.
    fn class(class: &Class) -> Result<Choices, &'static str> {
        if is_any(class) {
            return Ok(vec![vec![Part::AnyByte]]);
        }
        let Class::Unicode(class) = class else {
            return Err("the class");
        };
        let members = class.iter().flat_map(|range| range.start()..=range.end());
        let members: Vec<_> = members.take(MAX_ALTERNATIVES + 1).collect();
        if members.len() > MAX_ALTERNATIVES {
            return Err("the class");
        }
        let literal = |member: &char| vec![Part::Literal(member.to_string())];
        Ok(members.iter().map(literal).collect())
    }

    fn repeated(repetition: &Repetition) -> Result<Choices, &'static str> {
        let part = match repetition.sub.kind() {
            HirKind::Class(class) if is_any(class) => Some((Part::Anything, Part::Something)),
            HirKind::Class(class) if is_in_segment(class) => Some((Part::Segment, Part::Segment)),
            _ => None,
        };
        match (repetition.min, repetition.max, part) {
            (0, Some(1), _) => {
                let mut choices = vec![Vec::new()];
                choices.extend(Self::choices(&repetition.sub, false, false)?);
                Ok(choices)
            }
            (0, None, Some((Part::Segment, _))) => Ok(vec![Vec::new(), vec![Part::Segment]]),
            (0, None, Some((any, _))) => Ok(vec![vec![any]]),
            (1, None, Some((_, some))) => Ok(vec![vec![some]]),
            _ => Err("the repetition"),
        }
    }
}

/// `.`
fn is_any(class: &Class) -> bool {
    let class = Hir::class(class.clone());
    class == Hir::dot(Dot::AnyCharExceptLF) || class == Hir::dot(Dot::AnyChar)
}

/// `[^/]`
fn is_in_segment(class: &Class) -> bool {
    regex_syntax::parse("[^/]").is_ok_and(|hir| hir == Hir::class(class.clone()))
}
