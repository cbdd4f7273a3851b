//! The report for people: aligned, grouped, and the fix right below what needs it.

use clap::builder::styling::{AnsiColor, Style};

use super::report::{Answer, Choices, Column, Entry, Grid, Outcome, Report, Section, Speeds};

/// Columns of the names on the left, the two of their indent included.
const SUBJECT: usize = 30;
/// Columns of an answer: the longest is `cannot tell`.
const ANSWER: usize = 13;
/// Columns of a speed and of the name above it.
const SPEED: usize = 17;
/// Of more rows than these, those that say the same are put together even if not all of their names
/// have room: a host of containers has hundreds of interfaces.
const ROWS: usize = 8;

/// Writes text with or without colours.
struct Text {
    out: String,
    coloured: bool,
}

/// Renders the report.
pub(super) fn render(report: &Report, coloured: bool) -> String {
    let mut text = Text {
        out: String::new(),
        coloured,
    };
    let machine = &report.machine;
    let privileged = if machine.privileged {
        "as root"
    } else {
        "not as root: some probes cannot be made"
    };
    text.line(&format!(
        "underseal {} on Linux {}, {privileged}",
        machine.underseal, machine.kernel
    ));
    for section in &report.sections {
        text.section(section);
    }
    text.out
}

impl Text {
    fn section(&mut self, section: &Section) {
        self.line("");
        let title = self.painted(section.title, Style::new().bold());
        self.line(&title);
        let mut entries = section.entries.iter().peekable();
        while let Some(entry) = entries.next() {
            match entry {
                Entry::Finding(finding) => {
                    self.outcome(finding.subject, &finding.outcome);
                    // Several that need the same say it once, below the last of them.
                    let fix = finding.outcome.fix.as_deref();
                    if entries.peek().is_none_or(|next| fix_of(next) != fix) {
                        self.fix(fix);
                    }
                }
                Entry::Choices(choices) => self.choices(choices),
                Entry::Grid(grid) => self.grid(grid),
                Entry::Speeds(speeds) => self.speeds(speeds),
            }
        }
    }

    fn outcome(&mut self, subject: &str, outcome: &Outcome) {
        let said = outcome.said.as_deref().unwrap_or_default();
        let answer = self.answer(outcome);
        self.line(&format!("{}{answer}{said}", subject_cell(subject)));
    }

    /// One line where all are alike, else one per choice, or those that fit in a line together.
    fn choices(&mut self, choices: &Choices) {
        let rows = choices.rows.iter();
        let rows = rows.map(|row| (row.subject.as_str(), (&row.chosen, &row.because)));
        let rows: Vec<_> = rows.collect();
        if let Some((chosen, because)) = common(rows.iter().map(|row| row.1)) {
            return self.choice(choices.title, chosen, because);
        }
        self.line(&format!("  {}", choices.title));
        for (subject, (chosen, because)) in grouped(&rows, SUBJECT - 5) {
            self.choice(&format!("  {subject}"), chosen, because);
        }
    }

    fn choice(&mut self, subject: &str, chosen: &str, because: &str) {
        self.line(&format!(
            "{}{chosen:<ANSWER$}{because}",
            subject_cell(subject)
        ));
    }

    fn speeds(&mut self, speeds: &Speeds) {
        self.head(speeds.title, &speeds.columns, SPEED);
        for (subject, speeds) in &speeds.rows {
            let cell = |speed: &Option<f64>| match speed {
                Some(speed) => format!("{speed:<SPEED$.2}"),
                None => format!("{:<SPEED$}", "cannot tell"),
            };
            let cells: String = speeds.iter().map(cell).collect();
            self.line(&format!("{}{cells}", subject_cell(subject)));
        }
    }

    /// One line where everything is alike, else one per subject, or those that fit in a line
    /// together.
    fn grid(&mut self, grid: &Grid) {
        let cells = || grid.rows.iter().flat_map(|(_, outcomes)| outcomes);
        if let Some((answer, fix)) = common(cells().map(|cell| (cell.answer, &cell.fix))) {
            let said = distinct(cells().filter_map(|cell| cell.said.as_deref())).join(", ");
            let outcome = Outcome {
                answer,
                said: Some(said),
                fix: fix.clone(),
            };
            self.outcome(grid.title, &outcome);
            return self.fix(outcome.fix.as_deref());
        }
        self.head(grid.title, &grid.columns, ANSWER);
        let rows = grid.rows.iter();
        let rows: Vec<_> = rows.map(|(name, cells)| (name.as_str(), cells)).collect();
        for (subject, outcomes) in grouped(&rows, SUBJECT - 3) {
            let cells: String = outcomes
                .iter()
                .map(|outcome| self.answer(outcome))
                .collect();
            let said = distinct(
                outcomes
                    .iter()
                    .filter_map(|outcome| outcome.said.as_deref()),
            );
            self.line(&format!(
                "{}{cells}{}",
                subject_cell(&subject),
                said.join(", ")
            ));
            for fix in distinct(outcomes.iter().filter_map(|outcome| outcome.fix.as_deref())) {
                self.fix(Some(fix));
            }
        }
    }

    fn head(&mut self, title: &str, columns: &[Column], width: usize) {
        let titles = columns
            .iter()
            .map(|column| format!("{:<width$}", column.title));
        let titles: String = titles.collect();
        self.line(&format!("{}{titles}", subject_cell(title)));
    }

    fn fix(&mut self, fix: Option<&str>) {
        if let Some(fix) = fix {
            let fix = self.painted(&format!("fix: {fix}"), AnsiColor::Yellow.on_default());
            self.line(&format!("{:SUBJECT$}{fix}", ""));
        }
    }

    /// A cell with the answer; only what can be mended stands out.
    fn answer(&self, outcome: &Outcome) -> String {
        let style = match (outcome.answer, &outcome.fix) {
            (Answer::Yes, _) => AnsiColor::Green.on_default(),
            (_, Some(_)) => AnsiColor::Yellow.on_default().bold(),
            (_, None) => Style::new().dimmed(),
        };
        let word = outcome.answer.to_string();
        // Blanks are not painted: those at the end of a line are cut off.
        let blanks = ANSWER.saturating_sub(word.len());
        format!("{}{:blanks$}", self.painted(&word, style), "")
    }

    fn painted(&self, text: &str, style: Style) -> String {
        if self.coloured {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }
}

fn fix_of(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::Finding(finding) => finding.outcome.fix.as_deref(),
        Entry::Choices(_) | Entry::Grid(_) | Entry::Speeds(_) => None,
    }
}

/// A name on the left; one that is too long keeps a space behind it.
fn subject_cell(subject: &str) -> String {
    format!("  {subject:<width$} ", width = SUBJECT - 3)
}

/// Subjects about which the same is said together, in the order of the first of each.
fn grouped<T: Copy + PartialEq>(rows: &[(&str, T)], width: usize) -> Vec<(String, T)> {
    let mut groups: Vec<(Vec<&str>, T)> = Vec::new();
    for (subject, said) in rows {
        let has_room = |subjects: &[&str]| {
            rows.len() > ROWS || subjects.join(", ").len() + 2 + subject.len() <= width
        };
        let joins = |group: &&mut (Vec<&str>, T)| group.1 == *said && has_room(&group.0);
        match groups.iter_mut().find(joins) {
            Some((subjects, _)) => subjects.push(subject),
            None => groups.push((vec![subject], *said)),
        }
    }
    let named = |(subjects, said): (Vec<&str>, T)| (names(&subjects, width), said);
    groups.into_iter().map(named).collect()
}

/// As many of the names as there is room for, and the number of the others.
fn names(subjects: &[&str], width: usize) -> String {
    let listed = |count: usize| match subjects.len() - count {
        0 => subjects.join(", "),
        rest => format!("{} and {rest} more", subjects[..count].join(", ")),
    };
    let counts = (1..=subjects.len()).rev();
    let mut fitting = counts.map(listed).filter(|text| text.len() <= width);
    fitting.next().unwrap_or_else(|| listed(1))
}

/// What is said of all, if it is the same.
fn common<T: PartialEq>(mut said: impl Iterator<Item = T>) -> Option<T> {
    let first = said.next()?;
    said.all(|other| other == first).then_some(first)
}

fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_have_no_room_are_counted() {
        assert_eq!(names(&["lo"], 25), "lo");
        assert_eq!(names(&["lo", "eth0", "eth1"], 25), "lo, eth0, eth1");
        let many = ["veth0123456789a", "veth1", "veth2", "veth3"];
        assert_eq!(names(&many, 25), "veth0123456789a and 3 more");
    }

    #[test]
    fn few_subjects_are_all_named_and_many_are_put_together() {
        let few = [("first", 1), ("second", 1), ("third", 2), ("fourth", 1)];
        let expected = [("first, second", 1), ("third", 2), ("fourth", 1)];
        let expected = expected.map(|(names, said)| (names.to_owned(), said));
        assert_eq!(grouped(&few, 14), expected);
        let many = [("name", 7); 300];
        assert_eq!(grouped(&many, 22), [("name and 299 more".to_owned(), 7)]);
    }
}
