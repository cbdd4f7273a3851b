//! What a VM said: which programs ran and how they ended.

/// The start of the lines that `vm/init` writes between the programs'.
const MARK: &str = "underseal-vm: ";

/// What the kernel's log says when something went wrong that tests need not notice.
const FAULTS: &[&str] = &[
    "[ cut here ]",
    "BUG: ",
    "Oops",
    "Kernel panic",
    "general protection fault",
    "hard LOCKUP",
    "soft lockup",
    "detected stall",
    "blocked for more than",
];

/// One program's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Its name.
    pub(crate) name: String,
    /// What it wrote to stdout and stderr.
    pub(crate) output: String,
    /// Its exit status as a shell sees it; none if the VM ended first.
    pub(crate) status: Option<i32>,
}

/// The log of one VM.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    /// The programs, in the order they ran.
    pub(crate) runs: Vec<Run>,
    end: Option<String>,
}

impl Log {
    /// Reads the log as far as it goes.
    pub(crate) fn parse(text: &str) -> Self {
        let mut log = Self::default();
        for line in text.lines() {
            match line.strip_prefix(MARK) {
                Some(mark) => log.mark(mark),
                None => log.output(line),
            }
        }
        log
    }

    fn mark(&mut self, mark: &str) {
        if let Some(name) = mark.strip_prefix("begin ") {
            self.runs.push(Run {
                name: name.to_owned(),
                output: String::new(),
                status: None,
            });
        } else if let Some(rest) = mark.strip_prefix("end ") {
            let status = rest.rsplit(' ').next().and_then(|word| word.parse().ok());
            if let Some(run) = self.runs.last_mut() {
                run.status = status;
            }
        } else {
            self.end = Some(mark.to_owned());
        }
    }

    fn output(&mut self, line: &str) {
        if let Some(run) = self.runs.last_mut().filter(|run| run.status.is_none()) {
            run.output.push_str(line);
            run.output.push('\n');
        }
    }

    /// Whether every program has ended and the VM said so.
    pub(crate) fn is_complete(&self) -> bool {
        self.end.as_deref() == Some("done")
    }

    /// Whether a program, or a test of one that has not ended, failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.runs.iter().any(|run| {
            let failed = run.output.lines().any(|line| line.ends_with(" ... FAILED"));
            failed || run.status.is_some_and(|status| status != 0)
        })
    }

    /// How far the VM got, as the end of a sentence.
    pub(crate) fn state(&self) -> String {
        match (&self.end, self.runs.last()) {
            (Some(end), _) => end.clone(),
            (None, None) => "booting".to_owned(),
            (None, Some(run)) if run.status.is_some() => format!("after {}", run.name),
            (None, Some(run)) => {
                let passed = run.output.matches(" ... ok\n").count();
                format!("running {}, {passed} tests passed", run.name)
            }
        }
    }
}

/// The first line by which the kernel reports a fault of its own.
pub(crate) fn kernel_fault(console: &str) -> Option<&str> {
    console
        .lines()
        .find(|line| FAULTS.iter().any(|fault| line.contains(fault)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\nunderseal-vm: begin a\nrunning 1 test\ntest x ... ok\n\n\
        underseal-vm: end a 0\n\nunderseal-vm: begin b\nhalf a li";

    #[test]
    fn a_log_that_stops_says_where() {
        let log = Log::parse(TEXT);
        assert_eq!(log.runs[0].status, Some(0));
        assert_eq!(log.runs[0].output, "running 1 test\ntest x ... ok\n\n");
        assert_eq!(log.runs[1].status, None);
        assert!(!log.is_complete());
        assert_eq!(log.state(), "running b, 0 tests passed");
    }

    #[test]
    fn a_log_is_complete_when_the_vm_says_so() {
        let log = Log::parse(&format!(
            "{TEXT}\nunderseal-vm: end b 101\n\nunderseal-vm: done\n"
        ));
        assert!(log.is_complete());
        assert_eq!(log.runs[1].status, Some(101));
        let refused = Log::parse("\nunderseal-vm: cannot load the module tls\n");
        assert!(!refused.is_complete());
        assert_eq!(refused.state(), "cannot load the module tls");
    }

    #[test]
    fn an_oops_is_a_fault_and_a_quiet_kernel_is_not() {
        let oops = "[ 1.0] BUG: kernel NULL pointer dereference, address: 0\n[ 1.0] Oops: 0000";
        assert_eq!(kernel_fault(oops), oops.lines().next());
        let warning = "[ 2.0] ------------[ cut here ]------------";
        assert_eq!(kernel_fault(warning), Some(warning));
        assert_eq!(kernel_fault("[ 1.0] tls: module loaded\n"), None);
    }
}
