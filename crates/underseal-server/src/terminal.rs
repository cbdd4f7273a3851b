//! Which characters do something else to a terminal than to show themselves.

/// Whether `character` moves the cursor, colours, rings or hides text (C0, C1 and DEL), ends a line, or
/// turns the order of others around (Unicode's bidirectional controls): whoever sends one can have a
/// reader see what was not said.
pub fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// `text` with U+FFFD in the place of each of them.
pub fn shown(text: &str) -> String {
    let shown = |character| match is_control(character) {
        true => char::REPLACEMENT_CHARACTER,
        false => character,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_of_all_kinds_are_not_shown() {
        let text = "a\n\u{1b}[31m\u{9b}31m\u{7f}\u{202e}b\u{2066}\u{200f}\u{61c}\u{2029}é";
        let shown = shown(text);
        assert_eq!(shown.replace('\u{fffd}', "?"), "a??[31m?31m??b????é");
    }
}
