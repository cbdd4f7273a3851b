// Processes that come by fork in a bad moment, and one that ends in any.
#include "tests.h"
#include "trap.h"

static void *start_it(void *fd) {
    return (void *)(start(*(int *)fd) == 0 ? 1L : -1L);
}

// A thread makes the list of connections, and holds its lock, while another forks; the child has connections too.
static int forked_under_the_list(int port, const char *other_port) {
    int fd = dial(port), status;
    pthread_t starter;
    void *started;
    stop_at(SYS_memfd_create, -1);
    expect(pthread_create(&starter, NULL, start_it, &fd) == 0, "a thread");
    wait_for_the_call();
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        int other = dial(atoi(other_port));
        expect(start(other) == 0, "TLS_TX");
        say(other, "the child's");
        _exit(0);
    }
    expect(waitpid(child, &status, 0) == child && status == 0, "the child waits for nobody");
    may_go_on = 1;
    expect(pthread_join(starter, &started) == 0 && started == (void *)1L, "TLS_TX");
    return fd;
}

static void *replace_seven(void *fd) {
    return (void *)(long)dup2(*(int *)fd, 7);
}

// Starts a thread that stays in the midst of a call that makes a number another file's.
static pthread_t start_replacing(int *file) {
    pthread_t other;
    *file = memfd_create("file", 0);
    expect(dup2(*file, 7) == 7, "a number of which something is known");
    stop_at(SYS_dup2, *file);
    expect(pthread_create(&other, NULL, replace_seven, file) == 0, "a thread");
    wait_for_the_call();
    return other;
}

// It ends when the child has, which was not to wait for it.
static void stop_replacing(pthread_t other, pid_t child) {
    int status;
    expect(waitpid(child, &status, 0) == child && status == 0, "the child waits for nobody");
    may_go_on = 1;
    expect(pthread_join(other, NULL) == 0, "a thread");
}

// There was no connection yet when the process forks, and the child closes the number.
static int forked_before_connections(int port, const char *more) {
    int file;
    pthread_t other = start_replacing(&file);
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        expect(close_range(7, ~0U, 0) == 0, "close_range");
        // The number that was to be the file's too.
        expect(close(file) == 0, "close");
        int fd = dial(port);
        expect(fd == file && start(fd) == 0, "the thread that was to duplicate it is not here");
        _exit(0);
    }
    stop_replacing(other, child);
    return -1;
}

// The same in a child that borrows this memory.
static int closed_in_this_memory(int port, const char *more) {
    int file;
    pthread_t other = start_replacing(&file);
    pid_t child = vfork();
    if (child == 0) {
        alarm(10);
        _exit(close(7));
    }
    stop_replacing(other, child);
    return -1;
}

// A process that came by fork, which the C library has not seen, waits while its parent holds the head of a response.
static void forked_under_a_head(int fd, const char *more) {
    int file = memfd_create("file", 0), status;
    say(file, "file");
    for (int i = 0; i < 20; i++) {
        off_t offset = 0;
        say(fd, "head");
        pid_t child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            alarm(10);
            _exit(poll(NULL, 0, 0));
        }
        expect(sendfile(fd, file, &offset, 4) == 4, "sendfile");
        expect(waitpid(child, &status, 0) == child && status == 0, "the child has waited");
    }
}

// At a number that is high, and that the library takes for any.
static int dial_and_start_at(int port, int number) {
    int fd = dial(port);
    expect(syscall(SYS_dup3, fd, number, 0) == number && syscall(SYS_close, fd) == 0, "a high number");
    expect(start(number) == 0, "TLS_TX");
    return number;
}

static volatile pid_t writer;
static volatile sig_atomic_t has_written;

static void *write_to_the_parents(void *fd) {
    writer = gettid();
    int is_refused = write(*(int *)fd, "x", 1) == -1 && errno == EBADFD;
    has_written = 1;
    return is_refused ? fd : NULL;
}

static pthread_t start_writer(int *fd) {
    pthread_t thread;
    expect(pthread_create(&thread, NULL, write_to_the_parents, fd) == 0, "a thread");
    return thread;
}

static void is_refused(pthread_t thread) {
    void *refused;
    expect(pthread_join(thread, &refused) == 0 && refused, "it is the parent's");
}

// While a thread of a child gives up its parent's connections another comes to one of them.
static void write_by_two_threads(int fd, int other) {
    stop_at(SYS_fstat, hidden_number());
    pthread_t first = start_writer(&fd);
    wait_for_the_call();
    writer = 0;
    pthread_t second = start_writer(&other);
    while (!has_written && !(writer && is_asleep_now(writer))) usleep(1000);
    may_go_on = 1;
    is_refused(first);
    is_refused(second);
}

static void allow_high_numbers(void) {
    struct rlimit limit;
    expect(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    expect(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

static int given_up;
static volatile sig_atomic_t is_closed, is_refused_another;

static void close_what_is_given_up(int signal) {
    is_closed = close(given_up) == 0;
    is_refused_another = dup(0) == -1 && errno == EAGAIN;
}

// A signal handler interrupts a child while it gives up its parent's connections, and closes the number of one.
static int forked_and_closed_by_a_handler(int port, const char *more) {
    struct sigaction action = {.sa_handler = close_what_is_given_up};
    allow_high_numbers();
    given_up = dial_and_start_at(port, 3000);
    pid_t child = syscall(SYS_fork);
    if (child == 0) {
        alarm(10);
        stop_at(SYS_fstat, hidden_number());
        expect(sigaction(SIGSYS, &action, NULL) == 0, "sigaction");
        expect(write(given_up, "x", 1) == -1 && errno == EBADF, "the child has no such number");
        expect(is_closed && syscall(SYS_fcntl, given_up, F_GETFD) == -1, "the handler has closed it");
        expect(is_refused_another, "of another number nothing could be noted");
        _exit(0);
    }
    reap(child);
    return given_up;
}

static int forked_unseen_with_threads(int port, const char *other_port) {
    allow_high_numbers();
    // The child gives up what has lower numbers first.
    int fd = dial_and_start_at(port, 3000), other = dial_and_start_at(atoi(other_port), 3001);
    say(other, "other");
    pid_t child = syscall(SYS_fork);
    if (child == 0) {
        alarm(10);
        write_by_two_threads(fd, other);
        _exit(0);
    }
    reap(child);
    say(other, "still");
    return fd;
}

static void *talk(void *fd) {
    for (;;) say(*(int *)fd, "0123456789");
}

// Two threads write, and a third sends files, until this is killed.
static void talk_for_ever(int fd, const char *more) {
    pthread_t threads[2];
    int file = memfd_create("file", 0);
    say(file, "0123456789");
    for (int i = 0; i < 2; i++) expect(pthread_create(&threads[i], NULL, talk, &fd) == 0, "a thread");
    say_step("talks");
    for (;;) {
        off_t offset = 0;
        expect(sendfile(fd, file, &offset, 10) == 10, "sendfile");
    }
}

const struct test processes[] = {
    {"forked-under-the-list", .connect = forked_under_the_list},
    {"forked-before-connections", .connect = forked_before_connections},
    {"closed-in-this-memory", .connect = closed_in_this_memory},
    {"forked-and-closed-by-a-handler", .connect = forked_and_closed_by_a_handler},
    {"forked-with-threads", .connect = forked_unseen_with_threads},
    {"forked-under-a-head", .run = forked_under_a_head},
    {"killed", .run = talk_for_ever},
    {0},
};
