//! The end of a mux.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use underseal_sys::deadline::Deadline;

use super::{Closed, ConnectionId, Mux, park};

impl Mux {
    /// Takes no further stream and reads nothing more, and waits until the messages that were read
    /// are finished, their replies sent, and every connection ended. Workers then get `None`.
    ///
    /// # Cancellation
    ///
    /// What was begun goes on without the future. A peer that does not read its replies keeps it
    /// waiting for the time of [`Builder::send_timeout`](super::Builder::send_timeout), and a worker
    /// that keeps its message as long as it likes: [`Self::shutdown_within`] does not wait. When the
    /// last handle and worker are dropped what is left ends at once.
    pub async fn shutdown(&self) {
        self.begin_shutdown();
        self.shared.schedule.over().await;
    }

    /// [`Self::shutdown`], and what has not ended after `time` is aborted, whether its peer does not
    /// read or a worker still has its message. Returns the connections that were cut off so, in the
    /// order in which they were attached. Where no clock is to be had (outside of a tokio
    /// runtime, or without a free descriptor) nothing is waited for.
    ///
    /// # Panics
    ///
    /// In a runtime whose I/O is not enabled.
    ///
    /// # Cancellation
    ///
    /// As for [`Self::shutdown`]; nothing is cut off then.
    pub async fn shutdown_within(&self, time: Duration) -> Vec<ConnectionId> {
        self.begin_shutdown();
        let mut over = pin!(self.shared.schedule.over());
        let clock = Handle::try_current().ok();
        if let Some(Ok(mut deadline)) = clock.map(|_| Deadline::after(time)) {
            poll_fn(|cx| match over.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => Pin::new(&mut deadline).poll(cx),
            })
            .await;
        }
        let cut_off = self.cut_off();
        self.shared.schedule.over().await;
        cut_off
    }

    /// [`Self::shutdown_within`] for threads that have no runtime: the thread parks, and the
    /// streams' runtime and the workers run on others.
    pub fn shutdown_within_blocking(&self, time: Duration) -> Vec<ConnectionId> {
        self.begin_shutdown();
        // Whether it was in time is seen from what is left.
        let _ = park::block_on_within(time, self.shared.schedule.over());
        let cut_off = self.cut_off();
        park::block_on(self.shared.schedule.over());
        cut_off
    }

    fn begin_shutdown(&self) {
        if self.shared.schedule.shut_down() {
            self.shared.close_all();
        }
        for connection in self.shared.schedule.all() {
            connection.end(Closed::Shutdown);
        }
    }

    /// Aborts what has not ended.
    fn cut_off(&self) -> Vec<ConnectionId> {
        let left = self.shared.schedule.all().into_iter();
        let cut_off = left.filter(|connection| connection.abort());
        let mut cut_off: Vec<_> = cut_off.map(|connection| connection.id()).collect();
        cut_off.sort_unstable();
        cut_off
    }
}
