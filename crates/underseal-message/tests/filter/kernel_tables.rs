//! What Linux did, measured on 6.18 (TCP) and on 6.12.43 and 6.18.15 (TLS 1.3, AES-GCM-128), and
//! what underseal does.
//!
//! One word per send: what the call returned (`E` for EACCES) and the lengths of what went on,
//! e.g. `10>7,3`; `5x4` are four times five. The last word is the end of the stream. Each row is
//! followed under `kernel_compat`, or says why not.

use underseal_message::{Filter, KernelCompat, Message, MessageDirection, Program, Verdict};

use crate::run::{Outcome, carry_out, text, write};

type Judge = fn(&mut Message<'_>) -> Verdict;

/// What the kernel did.
enum Kernel {
    /// And what `kernel_compat` does.
    Did(&'static str),
    /// And nobody should: what it was instead.
    Not(&'static str),
}
use Kernel::{Did, Not};

struct Row {
    judge: Judge,
    kernel: Kernel,
    ours: &'static str,
}

fn pass(_: &mut Message<'_>) -> Verdict {
    Verdict::Pass
}

fn drop(_: &mut Message<'_>) -> Verdict {
    Verdict::Drop
}

fn apply(message: &mut Message<'_>, n: u64) -> Verdict {
    message.apply_bytes(n);
    Verdict::Pass
}

/// As programs of the kernel do, which cannot tell whether a helper took effect.
fn cork(message: &mut Message<'_>, n: usize) -> Verdict {
    let _ = message.cork_bytes(n);
    Verdict::Pass
}

fn push(message: &mut Message<'_>, at: usize) -> Verdict {
    let _ = message.push(at, b"push");
    Verdict::Pass
}

fn pop(message: &mut Message<'_>, start: usize, len: usize) -> Verdict {
    let _ = message.pop(start..start + len);
    Verdict::Pass
}

fn redirect(_: &mut Message<'_>) -> Verdict {
    Verdict::Redirect {
        to: 1,
        direction: MessageDirection::Egress,
    }
}

fn word(outcome: &Outcome) -> String {
    let mut lens: Vec<(usize, usize)> = Vec::new();
    for (_, bytes) in &outcome.chunks {
        match lens.last_mut() {
            Some((len, times)) if *len == bytes.len() => *times += 1,
            _ => lens.push((bytes.len(), 1)),
        }
    }
    let lens = lens.iter().map(|(len, times)| match times {
        1 => len.to_string(),
        _ => format!("{len}x{times}"),
    });
    let result = outcome.result.map_or("E".to_owned(), |n| n.to_string());
    format!("{result}>{}", lens.collect::<Vec<_>>().join(","))
}

fn words<P: Program>(mut filter: Filter<P>, sends: &[usize]) -> String {
    let mut words: Vec<_> = sends
        .iter()
        .map(|len| word(&write(&mut filter, vec![b'.'; *len])))
        .collect();
    words.push(word(&carry_out(filter.shutdown())));
    words.join(" ")
}

fn check(rules: KernelCompat, sends: &[usize], rows: &[Row]) {
    for (index, row) in rows.iter().enumerate() {
        let ours = words(Filter::egress(row.judge), sends);
        assert_eq!(ours, row.ours, "row {index}: ours");
        match row.kernel {
            Did(kernel) => {
                let filter = Filter::egress(row.judge).kernel_compat(rules);
                assert_eq!(words(filter, sends), kernel, "row {index}: the kernel's");
            }
            Not(instead) => assert_ne!(instead, row.ours, "row {index} is the same"),
        }
    }
}

#[test]
fn a_program_on_tcp() {
    let rows = [
        Row {
            judge: drop,
            kernel: Did("E> E> E> E> E> E> E> E> 0>"),
            ours: "E> E> E> E> E> E> E> E> 0>",
        },
        Row {
            // Of the send of ten bytes seven were lost, and reported as sent.
            judge: |m| {
                apply(m, 7);
                Verdict::Drop
            },
            kernel: Did("E> E> 7> E> E> E> E> E> 0>"),
            ours: "E> E> E> E> E> E> E> E> 0>",
        },
        Row {
            // The last nine bytes were never sent.
            judge: |m| cork(m, 16),
            kernel: Did("1> 3> 10> 20>34 20>20 20000>20000 5> 4> 0>"),
            ours: "1> 3> 10> 20>34 20>20 20000>20000 5> 4> 0>9",
        },
        Row {
            judge: |m| {
                apply(m, 5);
                cork(m, 7)
            },
            kernel: Not("nothing until shutdown, then 20075 bytes for 20063"),
            ours: "1> 3> 10>5x2 20>5x4 20>5x4 20000>5x4000 5>5 4>5 0>3",
        },
        Row {
            judge: |m| push(m, 0),
            kernel: Did("1>5 3>7 10>14 20>24 20>24 20000>20004 5>9 4>8 0>"),
            ours: "1>5 3>7 10>14 20>24 20>24 20000>20004 5>9 4>8 0>",
        },
        Row {
            judge: |m| push(m, 100_000),
            kernel: Did("1>1 3>3 10>10 20>20 20>20 20000>20000 5>5 4>4 0>"),
            ours: "1>1 3>3 10>10 20>20 20>20 20000>20000 5>5 4>4 0>",
        },
        Row {
            judge: |m| pop(m, 100_000, 1),
            kernel: Did("1>1 3>3 10>10 20>20 20>20 20000>20000 5>5 4>4 0>"),
            ours: "1>1 3>3 10>10 20>20 20>20 20000>20000 5>5 4>4 0>",
        },
        Row {
            judge: |m| pop(m, 0, 2),
            kernel: Did("1>1 3>1 10>8 20>18 20>18 20000>19998 5>3 4>2 0>"),
            ours: "1>1 3>1 10>8 20>18 20>18 20000>19998 5>3 4>2 0>",
        },
        Row {
            judge: redirect,
            kernel: Did("1>1 3>3 10>10 20>20 20>20 20000>20000 5>5 4>4 0>"),
            ours: "1>1 3>3 10>10 20>20 20>20 20000>20000 5>5 4>4 0>",
        },
    ];
    // The send of five bytes was made with MSG_MORE, at which no program looks.
    check(KernelCompat::Tcp, &[1, 3, 10, 20, 20, 20_000, 5, 4], &rows);
}

#[test]
fn push_and_apply_on_tcp() {
    // Ten bytes became 22: the program met what it had pushed, counted it, and pushed again.
    let row = Row {
        judge: |m| {
            apply(m, 7);
            push(m, 0)
        },
        kernel: Did("1>5 3>2,5 10>2,7x2,6 0>"),
        ours: "1>5 3>3 10>3,11 0>",
    };
    check(KernelCompat::Tcp, &[1, 3, 10], &[row]);
}

#[test]
fn a_drop_on_tcp_is_sticky() {
    let judge: Judge = |message| match text(message).starts_with('X') {
        true => Verdict::Drop,
        false => Verdict::Pass,
    };
    let words = |mut filter: Filter<Judge>| {
        ["abc", "Xbad", "good", "Y"].map(|bytes| word(&write(&mut filter, bytes)))
    };
    let kernel = words(Filter::egress(judge).kernel_compat(KernelCompat::Tcp));
    assert_eq!(kernel, ["3>3", "E>", "E>", "E>"]);
    assert_eq!(words(Filter::egress(judge)), ["3>3", "E>", "4>4", "1>1"]);
}

/// Of the kernel's last column, 5 bytes with MSG_MORE and then 4, one record of 9 came. Joining
/// writes to a record is not the filter's task, so its rows have two.
#[test]
fn a_program_on_kernel_tls() {
    let rows = [
        Row {
            judge: pass,
            kernel: Did("1>1 3>3 10>10 20>20 20000>16384,3616 0>"),
            ours: "1>1 3>3 10>10 20>20 20000>20000 0>",
        },
        Row {
            judge: drop,
            kernel: Did("E> E> E> E> E> 0>"),
            ours: "E> E> E> E> E> 0>",
        },
        Row {
            // A count that ended with its record, against one that spans writes.
            judge: |m| apply(m, 7),
            kernel: Did("1>1 3>3 10>7,3 20>7x2,6 20000>7x2340,4,7x516,4 0>"),
            ours: "1>1 3>3 10>3,7 20>7x2,6 20000>1,7x2857 0>",
        },
        Row {
            judge: |m| {
                apply(m, 7);
                Verdict::Drop
            },
            kernel: Did("E> E> E> E> E> 0>"),
            ours: "E> E> E> E> E> 0>",
        },
        Row {
            judge: |m| apply(m, 100_000),
            kernel: Did("1>1 3>3 10>10 20>20 20000>16384,3616 0>"),
            ours: "1>1 3>3 10>10 20>20 20000>20000 0>",
        },
        Row {
            judge: |m| cork(m, 16),
            kernel: Did("1> 3> 10> 20>34 20000>16384,3616 0>"),
            ours: "1> 3> 10> 20>34 20000>20000 0>",
        },
        Row {
            judge: |m| {
                cork(m, 16);
                Verdict::Drop
            },
            kernel: Did("1> 3> 10> E> E> 0>"),
            ours: "1> 3> 10> E> E> 0>",
        },
        Row {
            judge: |m| {
                let _ = m.pull(0..8);
                Verdict::Pass
            },
            kernel: Did("1>1 3>3 10>10 20>20 20000>16384,3616 0>"),
            ours: "1>1 3>3 10>10 20>20 20000>20000 0>",
        },
        Row {
            // The first record of the last send was too long for any receiver. Ours are cut by the
            // engine, behind the filter.
            judge: |m| push(m, 0),
            kernel: Did("1>5 3>7 10>14 20>24 20000>16388,3620 0>"),
            ours: "1>5 3>7 10>14 20>24 20000>20004 0>",
        },
        Row {
            judge: |m| push(m, 3),
            kernel: Did("1>1 3>7 10>14 20>24 20000>16388,3620 0>"),
            ours: "1>1 3>7 10>14 20>24 20000>20004 0>",
        },
        Row {
            judge: |m| pop(m, 0, 2),
            kernel: Did("1>1 3>1 10>8 20>18 20000>16382,3614 0>"),
            ours: "1>1 3>1 10>8 20>18 20000>19998 0>",
        },
        Row {
            judge: |m| pop(m, 1, 5),
            kernel: Did("1>1 3>3 10>5 20>15 20000>16379,3611 0>"),
            ours: "1>1 3>3 10>5 20>15 20000>19995 0>",
        },
        Row {
            judge: |m| {
                pop(m, 0, 2);
                Verdict::Drop
            },
            kernel: Did("E> E> E> E> E> 0>"),
            ours: "E> E> E> E> E> 0>",
        },
        Row {
            judge: |m| {
                apply(m, 7);
                push(m, 0)
            },
            kernel: Not("a NULL dereference in tls_push_record"),
            ours: "1>5 3>3 10>3,11 20>11x2,10 20000>1,11x2857 0>",
        },
        Row {
            judge: redirect,
            kernel: Did("1>1 3>3 10>10 20>20 20000>16384,3616 0>"),
            ours: "1>1 3>3 10>10 20>20 20000>20000 0>",
        },
    ];
    check(KernelCompat::Tls, &[1, 3, 10, 20, 20_000], &rows);
}

#[test]
fn records_of_seven_bytes_make_the_bytes_that_were_measured() {
    let judge: Judge = |message| apply(message, 7);
    let mut filter = Filter::egress(judge).kernel_compat(KernelCompat::Tls);
    let outcome = write(&mut filter, vec![0; 20_000]);
    // Header 5, content type 1, tag 16 (RFC 8446 section 5.2).
    let wire: usize = outcome
        .chunks
        .iter()
        .map(|(_, bytes)| bytes.len() + 22)
        .sum();
    assert_eq!(wire, 82_876);
}

#[test]
fn cork_and_apply_on_kernel_tls() {
    let row = |kernel, ours| Row {
        judge: |m| {
            apply(m, 5);
            cork(m, 7)
        },
        kernel,
        ours,
    };
    let rows = [row(
        Did("1> 3> 10>5x2 20>5x4 0>"),
        "1> 3> 10>5x2 20>5x4 0>4",
    )];
    check(KernelCompat::Tls, &[1, 3, 10, 20], &rows);
    let rows = [row(
        Not("send returns 16380, the peer reads 20021"),
        "1> 3> 10>5x2 20>5x4 20000>5x4000 0>4",
    )];
    check(KernelCompat::Tls, &[1, 3, 10, 20, 20_000], &rows);
}

#[test]
fn a_redirect_to_nowhere_in_the_kernel() {
    for rules in [KernelCompat::Tcp, KernelCompat::Tls] {
        let mut filter = Filter::egress(redirect as Judge).kernel_compat(rules);
        let slices = [std::io::IoSlice::new(b"abc")];
        for _ in 0..3 {
            let mut offer = filter.offer(&slices);
            while offer.next().is_some() {
                offer.refuse();
            }
            assert!(offer.finish().is_err());
        }
    }
}
