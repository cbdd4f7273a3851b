//! What Envoy's engine, RE2, reads otherwise than the parser that is used here, or not at all.

use regex_syntax::ast::{
    Ast, ClassSetBinaryOp, ClassSetItem, Flag, Flags, FlagsItemKind, GroupKind, Span, Visitor,
};

/// Finds the first part of an expression that is read in two ways.
pub(super) struct Dialect<'e> {
    pub(super) expression: &'e str,
}

impl Dialect<'_> {
    fn written(&self, span: &Span) -> &str {
        let range = span.start.offset..span.end.offset;
        self.expression.get(range).unwrap_or_default()
    }
}

impl Visitor for Dialect<'_> {
    type Output = ();
    type Err = &'static str;

    fn finish(self) -> Result<(), Self::Err> {
        Ok(())
    }

    fn visit_pre(&mut self, part: &Ast) -> Result<(), Self::Err> {
        match part {
            Ast::Flags(set) => check_flags(&set.flags),
            Ast::Group(group) => match &group.kind {
                GroupKind::NonCapturing(flags) => check_flags(flags),
                GroupKind::CaptureIndex(_) | GroupKind::CaptureName { .. } => Ok(()),
            },
            // There it is the text `{,1}`.
            Ast::Repetition(repetition) if self.written(&repetition.op.span).starts_with("{,") => {
                Err("the repetition")
            }
            _ => Ok(()),
        }
    }

    /// There a bracket within brackets is one of the characters.
    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        match item {
            ClassSetItem::Bracketed(_) => Err("the class within a class"),
            _ => Ok(()),
        }
    }

    /// There `&&` are two of the characters.
    fn visit_class_set_binary_op_pre(&mut self, _: &ClassSetBinaryOp) -> Result<(), Self::Err> {
        Err("what two classes have in common")
    }
}

fn check_flags(flags: &Flags) -> Result<(), &'static str> {
    let is_known = |kind: &FlagsItemKind| match kind {
        FlagsItemKind::Negation => true,
        FlagsItemKind::Flag(flag) => {
            !matches!(flag, Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace)
        }
    };
    if flags.items.iter().all(|item| is_known(&item.kind)) {
        Ok(())
    } else {
        Err("the flags")
    }
}
