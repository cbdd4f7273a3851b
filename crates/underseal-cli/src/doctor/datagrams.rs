//! UDP segmentation and coalescing, and tun devices.

use underseal_sys::Errno;
use underseal_sys::probe;
use underseal_sys::tun::Tun;
use underseal_sys::udp::Udp;

use super::report::{Answer, Entry, Finding, Outcome, Section};

/// Sends datagrams over the loopback interface.
pub(super) fn probe_udp() -> Section {
    udp(Udp::probe())
}

/// Opens the tun device, and makes an interface in a network namespace of its own.
pub(super) fn probe_tun() -> Section {
    tun(Tun::probe())
}

pub(super) fn udp(found: Udp) -> Section {
    let finding = |key, subject, answer, since| {
        let fix = match answer {
            // The probe itself had no loopback to send over.
            probe::Answer::CannotTell(_) => "bring the loopback interface up: ip link set lo up",
            probe::Answer::No(_) | probe::Answer::Yes => since,
        };
        Entry::Finding(Finding {
            key,
            subject,
            outcome: Outcome::probed(answer).or_fix(fix),
        })
    };
    Section {
        key: "udp",
        title: "UDP",
        entries: vec![
            finding(
                "gso",
                "segmentation (GSO)",
                found.segment,
                "Linux 4.18 or newer",
            ),
            finding("gro", "coalescing (GRO)", found.gro, "Linux 5.0 or newer"),
        ],
    }
}

pub(super) fn tun(found: Tun) -> Section {
    let feature = |key, subject, answer, since| {
        let outcome = if found.device.is_yes() {
            Outcome::probed(answer)
        } else {
            Outcome::said(Answer::CannotTell, "no device to ask")
        };
        let outcome = match answer {
            probe::Answer::CannotTell(Errno::PERM) if found.device.is_yes() => {
                outcome.or_fix("run as root to find out")
            }
            probe::Answer::No(_) => outcome.or_fix(since),
            probe::Answer::Yes | probe::Answer::CannotTell(_) => outcome,
        };
        Entry::Finding(Finding {
            key,
            subject,
            outcome,
        })
    };
    Section {
        key: "tun",
        title: "Tun devices",
        entries: vec![
            Entry::Finding(Finding {
                key: "device",
                subject: "/dev/net/tun",
                outcome: Outcome::probed(found.device).or_fix(device_fix(found.device)),
            }),
            feature(
                "vnet_hdr",
                "packet header (VNET_HDR)",
                found.vnet_hdr,
                "Linux 2.6.27 or newer",
            ),
            feature(
                "multi_queue",
                "several queues",
                found.multi_queue,
                "Linux 3.8 or newer",
            ),
            feature(
                "tso",
                "TCP segmentation (TSO)",
                found.tso,
                "Linux 2.6.27 or newer",
            ),
            feature(
                "uso",
                "UDP segmentation (USO)",
                found.uso,
                "Linux 6.2 or newer",
            ),
        ],
    }
}

fn device_fix(device: probe::Answer) -> &'static str {
    match device.errno() {
        Some(Errno::NOENT) => "as root: modprobe tun; or give the container /dev/net/tun",
        Some(Errno::NODEV | Errno::NXIO) => "as root: modprobe tun; or a kernel with CONFIG_TUN",
        _ => "run as root to find out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_DEVICE: probe::Answer = probe::Answer::CannotTell(Errno::NOENT);

    #[test]
    fn without_a_device_only_the_device_is_to_be_mended() {
        let section = tun(Tun {
            device: probe::Answer::No(Errno::NOENT),
            vnet_hdr: NO_DEVICE,
            multi_queue: NO_DEVICE,
            tso: NO_DEVICE,
            uso: NO_DEVICE,
        });
        let fixes: Vec<_> = section.outcomes().iter().map(|o| o.fix.is_some()).collect();
        assert_eq!(fixes, [true, false, false, false, false]);
    }

    #[test]
    fn offloads_need_root_to_be_told_and_a_kernel_that_has_them() {
        let found = Tun {
            device: probe::Answer::Yes,
            vnet_hdr: probe::Answer::Yes,
            multi_queue: probe::Answer::Yes,
            tso: probe::Answer::CannotTell(Errno::PERM),
            uso: probe::Answer::No(Errno::INVAL),
        };
        let section = tun(found);
        let outcomes = section.outcomes();
        assert_eq!(outcomes[3].fix.as_deref(), Some("run as root to find out"));
        assert_eq!(outcomes[4].fix.as_deref(), Some("Linux 6.2 or newer"));
        assert_eq!(outcomes[4].said.as_deref(), Some("EINVAL"));
    }

    #[test]
    fn udp_says_which_kernel_or_that_it_could_not_send() {
        let section = udp(Udp {
            segment: probe::Answer::CannotTell(Errno::NETUNREACH),
            gro: probe::Answer::No(Errno::NOPROTOOPT),
        });
        let outcomes = section.outcomes();
        assert_eq!(outcomes[0].answer, Answer::CannotTell);
        let lo = outcomes[0].fix.as_deref().unwrap();
        assert!(lo.ends_with("ip link set lo up"), "{lo}");
        assert_eq!(outcomes[1].fix.as_deref(), Some("Linux 5.0 or newer"));
    }
}
