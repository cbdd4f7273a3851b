//! Prints what the TLS of this machine's kernel can do, a line for each question: the word of the
//! question, the answer, and the errno if the kernel refused.

use underseal_sys::errno_name;
use underseal_sys::probe::{Answer, KernelTls};
use underseal_sys::tls::{Cipher, Direction, Version};

fn main() {
    let found = KernelTls::get();
    print("ulp", found.ulp);
    print("rekey", found.rekey);
    print("zerocopy-ro", found.zerocopy_ro);
    print("expect-no-pad", found.expect_no_pad);
    print("max-payload-len", found.max_payload_len);
    for version in Version::ALL {
        for cipher in Cipher::ALL {
            for direction in Direction::ALL {
                let question = format!("{version:?}/{}/{direction:?}", cipher.name());
                print(&question, found.suite(version, cipher, direction));
            }
        }
    }
}

fn print(question: &str, answer: Answer) {
    match answer.errno() {
        None => println!("{question}: {answer}"),
        Some(errno) => println!("{question}: {answer}: {}", errno_name(errno)),
    }
}
