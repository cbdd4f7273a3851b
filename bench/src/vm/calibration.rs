//! Whether the CPU clock counts instructions.
//!
//! A loop of N turns is run for several N. If a nanosecond is an instruction, each turn takes a
//! whole number of nanoseconds, and the same one whatever N. Timer interrupts add about a thousandth
//! and what else the kernel does now and then a little more, so that each loop is run several times
//! and the shortest counts. A clock that runs by itself gives neither.

use std::hint::black_box;

use anyhow::ensure;

use crate::cpu_time::thread_cpu;
use crate::run::Samples;

/// Turns of the loops.
const TURNS: [u64; 4] = [4_000_000, 8_000_000, 16_000_000, 32_000_000];
/// How often each loop is run.
const TRIES: usize = 5;
/// How far from a whole number the instructions of a turn may be, as a part of it.
const TOLERANCE: f64 = 0.005;

/// Runs the loops and keeps what they took.
///
/// # Errors
///
/// When the clock counts something else.
pub fn check(samples: &mut Samples) -> anyhow::Result<()> {
    let shortest = |turns| {
        (0..TRIES)
            .map(move |_| nanoseconds(turns))
            .fold(f64::MAX, f64::min)
    };
    let measured = TURNS.map(|turns| (turns, shortest(turns) / turns as f64));
    for (turns, each) in measured {
        let setting = turns.to_string();
        let values = [("instructions_per_turn", each)];
        samples.add(("calibration", "empty loop", &setting, 0), &values);
    }
    judge(&measured.map(|(_, each)| each))
}

fn judge(measured: &[f64]) -> anyhow::Result<()> {
    let whole = measured.iter().sum::<f64>() / measured.len() as f64;
    let whole = whole.round().max(1.0);
    for each in measured {
        ensure!(
            (each / whole - 1.0).abs() <= TOLERANCE,
            "a turn of an empty loop takes {measured:?} ns: the clock does not count \
             instructions; hint: this runs in the VM of `cargo xtask bench vm`"
        );
    }
    Ok(())
}

/// The loop has a body that the compiler must not remove, of the same instructions each turn.
fn nanoseconds(turns: u64) -> f64 {
    let began = thread_cpu();
    let mut left = black_box(turns);
    while left > 0 {
        left = black_box(left) - 1;
    }
    (thread_cpu() - began).as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_whole_number_for_every_length_will_do() {
        assert!(judge(&[4.003, 4.002, 4.001, 4.001]).is_ok());
        assert!(judge(&[4.003, 4.002, 4.001, 4.1]).is_err(), "not the same");
        assert!(judge(&[0.43, 0.43, 0.43, 0.43]).is_err(), "not whole");
        assert!(judge(&[2.5, 2.5, 2.5, 2.5]).is_err(), "not whole");
    }
}
