//! What to say about a key that is not known.

/// The key that was meant, or all that there are.
pub(super) fn suggestion(key: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|word| (distance(&key.to_lowercase(), &word.to_lowercase()), word))
        .min();
    match nearest {
        Some((distance, word)) if distance <= 2 => {
            format!("no such key; did you mean `{word}`?")
        }
        _ => format!("no such key; there are {}", known.join(", ")),
    }
}

/// How many letters one must insert, remove or replace to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
