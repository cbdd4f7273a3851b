//! BPF programs on sockets and cgroups.

use std::fs::File;
use std::path::{Path, PathBuf};

use underseal_sys::bpf::{self, Bpf};
use underseal_sys::{Errno, errno_name, probe};

use super::report::{Answer, Entry, Finding, Outcome, Section};

/// Loads programs, drops them, and asks the root of the cgroup v2 hierarchy about its hooks.
pub(super) fn probe() -> Section {
    let mount = bpf::cgroup_v2_mount();
    let hooks = match &mount {
        Ok(Some(root)) => Some(hooks_of(root)),
        Ok(None) | Err(_) => None,
    };
    section(Bpf::probe(), mount, hooks)
}

fn hooks_of(root: &Path) -> probe::Answer {
    match File::open(root) {
        Ok(root) => bpf::cgroup_hooks(&root),
        Err(error) => probe::Answer::CannotTell(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

pub(super) fn section(
    found: Bpf,
    mount: Result<Option<PathBuf>, Errno>,
    hooks: Option<probe::Answer>,
) -> Section {
    let entry = |key, subject, outcome| {
        Entry::Finding(Finding {
            key,
            subject,
            outcome,
        })
    };
    let hooks = match hooks {
        Some(answer) => outcome(answer, "kernel with CONFIG_CGROUP_BPF"),
        None => Outcome::said(Answer::CannotTell, "no hierarchy to ask"),
    };
    let bpf = "kernel with CONFIG_BPF_SYSCALL";
    let message = "kernel with CONFIG_BPF_SYSCALL and CONFIG_NET_SOCK_MSG";
    let cgroup = "kernel with CONFIG_CGROUP_BPF";
    Section {
        key: "bpf",
        title: "BPF on sockets",
        entries: vec![
            entry("cgroup_v2", "cgroup v2 hierarchy", mounted(mount)),
            entry("cgroup_hooks", "cgroup hooks", hooks),
            entry(
                "cgroup_sock_addr",
                "program CGROUP_SOCK_ADDR",
                outcome(found.cgroup_connect, cgroup),
            ),
            entry("sock_ops", "program SOCK_OPS", outcome(found.sock_ops, bpf)),
            entry("sk_msg", "program SK_MSG", outcome(found.sk_msg, message)),
            entry("sockmap", "sockmap", outcome(found.sockmap, message)),
        ],
    }
}

fn outcome(answer: probe::Answer, kernel: &str) -> Outcome {
    let fix = match answer {
        probe::Answer::CannotTell(Errno::PERM | Errno::ACCESS) => "run as root to find out",
        // Before Linux 5.11 maps and programs counted against the limit of locked memory.
        probe::Answer::CannotTell(_) => "raise the limit of locked memory: ulimit -l unlimited",
        probe::Answer::No(_) | probe::Answer::Yes => kernel,
    };
    Outcome::probed(answer).or_fix(fix)
}

fn mounted(mount: Result<Option<PathBuf>, Errno>) -> Outcome {
    match mount {
        Ok(Some(root)) => Outcome::said(Answer::Yes, root.display().to_string()),
        Ok(None) => Outcome::said(Answer::No, "not mounted")
            .or_fix("as root: mkdir /run/cgroup2; mount -t cgroup2 none /run/cgroup2"),
        Err(errno) => {
            Outcome::said(Answer::CannotTell, errno_name(errno)).or_fix("mount proc on /proc")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: probe::Answer = probe::Answer::CannotTell(Errno::PERM);

    #[test]
    fn who_may_not_ask_is_told_to_ask_as_root() {
        let found = Bpf {
            sockmap: REFUSED,
            sk_msg: REFUSED,
            sock_ops: REFUSED,
            cgroup_connect: REFUSED,
        };
        let mount = Ok(Some(PathBuf::from("/sys/fs/cgroup")));
        let section = section(found, mount, Some(REFUSED));
        let outcomes = section.outcomes();
        let root = Outcome::said(Answer::CannotTell, "EPERM").or_fix("run as root to find out");
        assert_eq!(
            outcomes.iter().filter(|outcome| ***outcome == root).count(),
            5
        );
        let mount = Outcome::said(Answer::Yes, "/sys/fs/cgroup");
        assert_eq!(*outcomes[0], mount);
    }

    #[test]
    fn a_kernel_without_bpf_and_cgroups_names_what_it_lacks() {
        let no = probe::Answer::No(Errno::NOSYS);
        let found = Bpf {
            sockmap: no,
            sk_msg: no,
            sock_ops: no,
            cgroup_connect: no,
        };
        let section = section(found, Ok(None), None);
        let outcomes = section.outcomes();
        for outcome in &outcomes[2..] {
            let fix = outcome.fix.as_deref().unwrap();
            assert!(fix.starts_with("kernel with CONFIG_"), "{fix}");
            assert_eq!(outcome.said.as_deref(), Some("ENOSYS"));
        }
        assert_eq!(outcomes[0].answer, Answer::No);
        let hooks = Outcome::said(Answer::CannotTell, "no hierarchy to ask");
        assert_eq!(*outcomes[1], hooks);
    }
}
