//! The tasks that wait for one stream to take bytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use underseal_sys::tls::Direction;

use crate::engine::note;

/// Who waits for the stream below to take bytes: the task that writes and, if it has something to
/// send, the one that reads. A stream wakes only the task that polled it last.
///
/// Nothing is allocated before somebody waits, and nothing is locked before somebody did: a writer
/// polls with its own waker until a reader waits, too.
#[derive(Default)]
pub(crate) struct Wakers(Option<Arc<Both>>);

impl Wakers {
    /// Polls the stream below on behalf of the task in `cx`, which works on `direction`, so that
    /// both tasks are woken if it is not ready.
    pub(crate) fn poll<T>(
        &mut self,
        direction: Direction,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let with_other = match (&self.0, direction) {
            (Some(both), Direction::Tx) => both.tasks().reader.is_some(),
            (Some(both), Direction::Rx) => both.tasks().writer.is_some(),
            (None, _) => false,
        };
        if let Some(both) = self.0.as_ref().filter(|_| with_other) {
            // Noted first: what is ready in between wakes it, and it polls again.
            both.note(direction, cx.waker());
            let waker = Waker::from(Arc::clone(both));
            return poll(&mut Context::from_waker(&waker));
        }
        let polled = poll(cx);
        if polled.is_pending() {
            let both = self.0.get_or_insert_default();
            both.note(direction, cx.waker());
        }
        polled
    }
}

/// One waker for two tasks.
#[derive(Default)]
struct Both(Mutex<Tasks>);

#[derive(Default)]
struct Tasks {
    writer: Option<Waker>,
    reader: Option<Waker>,
}

impl Both {
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, direction: Direction, waker: &Waker) {
        let mut tasks = self.tasks();
        let task = match direction {
            Direction::Tx => &mut tasks.writer,
            Direction::Rx => &mut tasks.reader,
        };
        note(task, waker);
    }
}

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Tasks { writer, reader } = std::mem::take(&mut *self.tasks());
        [writer, reader].into_iter().flatten().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A task that counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Task {
        fn wakes(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// A stream that is full, with the one place for a waker that streams have.
    #[derive(Default)]
    struct Full(Option<Waker>);

    impl Full {
        fn poll(&mut self, wakers: &mut Wakers, direction: Direction, task: &Arc<Task>) {
            let waker = Waker::from(Arc::clone(task));
            let polled = wakers.poll(direction, &mut Context::from_waker(&waker), |cx| {
                self.0 = Some(cx.waker().clone());
                Poll::<()>::Pending
            });
            assert!(polled.is_pending());
        }

        fn is_ready(&mut self) {
            self.0.take().into_iter().for_each(Waker::wake);
        }
    }

    #[test]
    fn whoever_came_last_both_tasks_are_woken() {
        let (writer, reader) = (Arc::<Task>::default(), Arc::<Task>::default());
        let (mut wakers, mut stream) = (Wakers::default(), Full::default());
        for rounds in 1..4 {
            let mut tasks = [(Direction::Tx, &writer), (Direction::Rx, &reader)];
            if rounds == 2 {
                tasks.reverse();
            }
            for (direction, task) in tasks {
                stream.poll(&mut wakers, direction, task);
            }
            stream.is_ready();
            assert_eq!((writer.wakes(), reader.wakes()), (rounds, rounds));
        }
    }

    #[test]
    fn a_task_that_waits_alone_is_polled_with_its_own_waker() {
        let task = Arc::<Task>::default();
        let waker = Waker::from(Arc::clone(&task));
        let (mut wakers, mut stream) = (Wakers::default(), Full::default());
        for rounds in 1..4 {
            stream.poll(&mut wakers, Direction::Tx, &task);
            assert!(
                stream
                    .0
                    .as_ref()
                    .is_some_and(|noted| noted.will_wake(&waker))
            );
            stream.is_ready();
            assert_eq!(task.wakes(), rounds);
        }
    }

    #[test]
    fn the_task_that_came_last_for_a_direction_is_woken() {
        let tasks: [Arc<Task>; 3] = Default::default();
        let [first, second, reader] = &tasks;
        let (mut wakers, mut stream) = (Wakers::default(), Full::default());
        stream.poll(&mut wakers, Direction::Tx, first);
        stream.poll(&mut wakers, Direction::Tx, second);
        stream.poll(&mut wakers, Direction::Rx, reader);
        stream.is_ready();
        assert_eq!(tasks.map(|task| task.wakes()), [0, 1, 1]);
    }
}
