//! A foreign program as the other side of a test.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// A running program. Its output is collected as it comes, what is written to it is queued, so that
/// neither side can block the other; waiting is bounded by [`PATIENCE`]; dropping it kills it.
#[derive(Debug)]
pub struct Peer {
    name: String,
    child: Child,
    stdin: Option<mpsc::Sender<Vec<u8>>>,
    stdout: Output,
    stderr: Output,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to stdout.
    pub stdout: Vec<u8>,
    /// All it wrote to stderr.
    pub stderr: String,
}

impl Peer {
    /// Starts `command` with pipes on all three of its streams.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let stdin = child.stdin.take().map(queue);
        let stdout = Output::collect(child.stdout.take());
        let stderr = Output::collect(child.stderr.take());
        Self {
            name,
            child,
            stdin,
            stdout,
            stderr,
        }
    }

    /// Queues `bytes` for its stdin. Nothing happens when it does not read any more; what it then
    /// lacks is for the test to notice.
    pub fn write(&mut self, bytes: impl Into<Vec<u8>>) {
        if let Some(stdin) = &self.stdin {
            let _ = stdin.send(bytes.into());
        }
    }

    /// Closes its stdin behind what is queued.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until stdout or stderr has `text`, and returns the line it is in, from `text` on.
    ///
    /// # Panics
    /// When it does not come; the message has all that did.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_for_nth(1, text)
    }

    /// Waits until stdout or stderr has `text` for the `nth` time, and returns the line of that
    /// time, from `text` on.
    ///
    /// # Panics
    /// When it does not come; the message has all that did.
    pub fn wait_for_nth(&self, nth: usize, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for output in [&self.stdout, &self.stderr] {
                if let Some(line) = output.line_with(nth, text) {
                    return line;
                }
            }
            let over = self.stdout.ended() && self.stderr.ended();
            // What came between the look and the end is looked at once more.
            let missing = [&self.stdout, &self.stderr]
                .iter()
                .all(|o| o.line_with(nth, text).is_none());
            if missing && (over || Instant::now() > deadline) {
                self.fail(&format!("never wrote `{text}` ({nth})"));
            }
            self.stdout.wait_for_change(Duration::from_millis(20));
        }
    }

    /// Waits until stdout has at least `bytes` bytes, and returns all of it.
    ///
    /// # Panics
    /// When they do not come.
    pub fn wait_for_stdout(&self, bytes: usize) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.stdout.len() < bytes {
            if (self.stdout.ended() && self.stdout.len() < bytes) || Instant::now() > deadline {
                self.fail(&format!("wrote {} of {bytes} bytes", self.stdout.len()));
            }
            self.stdout.wait_for_change(Duration::from_millis(20));
        }
        self.stdout.bytes()
    }

    /// All it wrote to stdout so far.
    #[must_use]
    pub fn stdout(&self) -> Vec<u8> {
        self.stdout.bytes()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id, for signals.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it: its sockets close without a word.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Closes its stdin and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn finish(mut self) -> Finished {
        self.close_stdin();
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => break status,
                None if Instant::now() > deadline => self.fail("does not end"),
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        self.stdout.join();
        self.stderr.join();
        let stderr = String::from_utf8_lossy(&self.stderr.bytes()).into_owned();
        Finished {
            status,
            stdout: self.stdout.bytes(),
            stderr,
        }
    }

    /// Fails the test with all that the program said.
    fn fail(&self, what: &str) -> ! {
        let stdout = self.stdout.bytes();
        let stdout = String::from_utf8_lossy(&stdout[..stdout.len().min(8192)]).into_owned();
        let stderr = String::from_utf8_lossy(&self.stderr.bytes()).into_owned();
        panic!(
            "{} {what}\n--- stdout ---\n{stdout}\n--- stderr ---\n{stderr}",
            self.name
        )
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Finished {
    /// All it wrote to stdout, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns itself if the program ended with exit code 0.
    ///
    /// # Panics
    /// When it did not; the message has all that the program said.
    pub fn successful(self) -> Self {
        let (status, stdout, stderr) = (self.status, self.text(), &self.stderr);
        assert!(
            status.success(),
            "{status}\n--- stdout ---\n{stdout}\n--- stderr ---\n{stderr}"
        );
        self
    }
}

/// Writes to `stdin` what is sent, until the sender is gone or the program does not read any more.
fn queue(mut stdin: impl Write + Send + 'static) -> mpsc::Sender<Vec<u8>> {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        for bytes in receiver {
            if stdin
                .write_all(&bytes)
                .and_then(|()| stdin.flush())
                .is_err()
            {
                return;
            }
        }
    });
    sender
}

/// One output stream, collected by a thread.
#[derive(Debug)]
struct Output {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    collected: Mutex<Collected>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    fn collect(source: Option<impl Read + Send + 'static>) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = source.map(|source| {
            let shared = shared.clone();
            thread::spawn(move || shared.fill_from(source))
        });
        Self { shared, thread }
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn len(&self) -> usize {
        self.shared
            .collected
            .lock()
            .expect("no holder panics")
            .bytes
            .len()
    }

    fn ended(&self) -> bool {
        self.shared
            .collected
            .lock()
            .expect("no holder panics")
            .ended
    }

    fn bytes(&self) -> Vec<u8> {
        self.shared
            .collected
            .lock()
            .expect("no holder panics")
            .bytes
            .clone()
    }

    fn line_with(&self, nth: usize, text: &str) -> Option<String> {
        let bytes = self.bytes();
        let output = String::from_utf8_lossy(&bytes);
        let (start, _) = output.match_indices(text).nth(nth.checked_sub(1)?)?;
        // A text that starts with a line's end stands for the start of the line after it.
        output[start..]
            .lines()
            .find(|line| !line.is_empty())
            .map(str::to_owned)
    }

    fn wait_for_change(&self, at_most: Duration) {
        let collected = self.shared.collected.lock().expect("no holder panics");
        let _ = self.shared.changed.wait_timeout(collected, at_most);
    }
}

impl Shared {
    fn fill_from(&self, mut source: impl Read) {
        let mut chunk = vec![0; 65536];
        loop {
            let read = source.read(&mut chunk).unwrap_or(0);
            let mut collected = self.collected.lock().expect("no holder panics");
            collected.bytes.extend(&chunk[..read]);
            collected.ended = read == 0;
            self.changed.notify_all();
            if read == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::require_program;

    #[test]
    fn input_and_output_of_any_size_pass_without_blocking() {
        let mut peer = Peer::spawn(&mut Command::new(require_program("cat")));
        let sent = vec![b'x'; 1 << 20];
        peer.write(sent.clone());
        assert_eq!(peer.wait_for_stdout(sent.len()).len(), sent.len());
        assert!(peer.is_running());
        assert_eq!(peer.finish().successful().stdout, sent);
    }

    #[test]
    fn a_line_is_awaited_on_either_stream() {
        let script = "echo before the port: 1; echo the error: 2 >&2; sleep 30";
        let mut peer = Peer::spawn(Command::new("sh").args(["-c", script]));
        assert_eq!(peer.wait_for("the port: "), "the port: 1");
        assert_eq!(peer.wait_for("the error: "), "the error: 2");
        peer.kill();
        assert!(!peer.is_running());
    }

    #[test]
    #[should_panic(expected = "never wrote `welcome`")]
    fn a_line_that_never_comes_fails_the_test() {
        Peer::spawn(Command::new("sh").args(["-c", "echo go away"])).wait_for("welcome");
    }

    #[test]
    #[should_panic(expected = "the reason")]
    fn a_failure_is_reported_with_its_reason() {
        let script = "echo the reason >&2; exit 3";
        let _ = Peer::spawn(Command::new("sh").args(["-c", script]))
            .finish()
            .successful();
    }
}
