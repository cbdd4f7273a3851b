//! What was found out, as data: two renderers print it, and nothing else makes text of it.

use std::fmt;

use underseal_sys::{errno_name, probe};

/// Everything that `underseal doctor` has to say about this machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// The machine in short: what would be asked first about a bug report.
    pub(crate) machine: Machine,
    /// In the order in which they are printed.
    pub(crate) sections: Vec<Section>,
}

/// Where the report was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Version of underseal.
    pub(crate) underseal: String,
    /// Release of the kernel, for people: nothing is concluded from it.
    pub(crate) kernel: String,
    /// Whether this process has CAP_NET_ADMIN, without which some probes cannot be made.
    pub(crate) privileged: bool,
}

/// A group of entries about one subject.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    /// Its name in JSON.
    pub(crate) key: &'static str,
    /// Its name for people.
    pub(crate) title: &'static str,
    pub(crate) entries: Vec<Entry>,
}

/// One thing in a section.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    /// An answer to one question.
    Finding(Finding),
    /// What underseal chose by itself, and why.
    Choices(Choices),
    /// The same questions asked of several subjects.
    Grid(Grid),
    /// Speeds that were measured.
    Speeds(Speeds),
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Its name in JSON.
    pub(crate) key: &'static str,
    /// Its name for people.
    pub(crate) subject: &'static str,
    pub(crate) outcome: Outcome,
}

/// An answer, what it rests on, and what would change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    /// What the kernel said, if it said more than yes: an errno's name, or a word of its own.
    pub(crate) said: Option<String>,
    /// What to type or install; none where nothing needs mending or nothing can be done.
    pub(crate) fix: Option<String>,
}

/// The three answers that a probe gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    CannotTell,
}

/// Things of one kind that were chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choices {
    /// Their name in JSON.
    pub(crate) key: &'static str,
    /// What they are all for, for people.
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<Choice>,
}

/// Something chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What it is for: its name in JSON.
    pub(crate) key: String,
    /// The same for people.
    pub(crate) subject: String,
    pub(crate) chosen: String,
    pub(crate) because: String,
}

/// Outcomes by subject and question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Its name in JSON.
    pub(crate) key: &'static str,
    /// What the rows are, for people.
    pub(crate) title: &'static str,
    /// The questions.
    pub(crate) columns: Vec<Column>,
    /// The subjects, each with one outcome per column.
    pub(crate) rows: Vec<(String, Vec<Outcome>)>,
}

/// A question, or what a speed was measured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name in JSON.
    pub(crate) key: &'static str,
    /// Its name for people.
    pub(crate) title: &'static str,
}

/// Speeds by subject and setting, in GB/s (10^9 bytes of plaintext).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Speeds {
    /// Its name in JSON.
    pub(crate) key: &'static str,
    /// What the rows are, for people.
    pub(crate) title: &'static str,
    pub(crate) columns: Vec<Column>,
    /// The subjects, each with one speed per column; none where it could not be measured.
    pub(crate) rows: Vec<(String, Vec<Option<f64>>)>,
}

#[cfg(test)]
impl Section {
    /// Every outcome, those of grids row by row.
    pub(super) fn outcomes(&self) -> Vec<&Outcome> {
        fn of(entry: &Entry) -> Vec<&Outcome> {
            match entry {
                Entry::Finding(finding) => vec![&finding.outcome],
                Entry::Grid(grid) => grid.rows.iter().flat_map(|(_, row)| row).collect(),
                Entry::Choices(_) | Entry::Speeds(_) => Vec::new(),
            }
        }
        self.entries.iter().flat_map(of).collect()
    }
}

impl Column {
    /// A column of these names.
    pub(crate) const fn new(key: &'static str, title: &'static str) -> Self {
        Self { key, title }
    }
}

impl Outcome {
    /// Yes, and nothing to add.
    pub(crate) const YES: Self = Self {
        answer: Answer::Yes,
        said: None,
        fix: None,
    };

    /// An answer with what it rests on.
    pub(crate) fn said(answer: Answer, said: impl Into<String>) -> Self {
        Self {
            answer,
            said: Some(said.into()),
            fix: None,
        }
    }

    /// What a probe of the kernel found out.
    pub(crate) fn probed(answer: probe::Answer) -> Self {
        match answer {
            probe::Answer::Yes => Self::YES,
            probe::Answer::No(errno) => Self::said(Answer::No, errno_name(errno)),
            probe::Answer::CannotTell(errno) => Self::said(Answer::CannotTell, errno_name(errno)),
        }
    }

    /// The same with a fix, if it is not yes.
    pub(crate) fn or_fix(self, fix: impl Into<String>) -> Self {
        match self.answer {
            Answer::Yes => self,
            Answer::No | Answer::CannotTell => Self {
                fix: Some(fix.into()),
                ..self
            },
        }
    }
}

impl Answer {
    /// The word in JSON.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::CannotTell => "cannot_tell",
        }
    }
}

/// The words for people.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::CannotTell => "cannot tell",
        })
    }
}
