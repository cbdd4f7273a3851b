// Numbers of a connection that come, go and come again.
#include "tests.h"
#include "trap.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

static void duplicate(int fd, const char *more) {
    int other = dup(fd);
    expect(other >= 0 && write(other, "dup", 3) == 3, "dup");
    expect(dup2(fd, 100) == 100 && write(100, "dup2", 4) == 4, "dup2");
    expect(dup3(fd, 101, O_CLOEXEC) == 101 && write(101, "dup3", 4) == 4, "dup3");
    int last = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    expect(last >= 200 && write(last, "dupfd", 5) == 5, "F_DUPFD");
    expect(close(fd) == 0 && close(100) == 0 && close(101) == 0 && close(last) == 0, "close");
    expect(write(other, "still", 5) == 5, "the last number goes on");
    say(other, "last");
}

static int duplicate_before(int port, const char *more) {
    int fd = dial(port);
    int other = dup(fd);
    expect(start(fd) == -1, "a file with two numbers is refused");
    close(other);
    return -1;
}

// Children that borrow this memory close the number, which is theirs to close; this process has both still.
static int duplicate_before_vfork(int port, const char *more) {
    int fd = dial(port);
    expect(dup(fd) >= 0, "dup");
    pid_t pid = vfork();
    if (pid == 0) {
        close(fd);
        _exit(0);
    }
    reap(pid);
    pid = vfork();
    if (pid == 0) {
        close_range(3, ~0U, 0);
        _exit(0);
    }
    reap(pid);
    expect(start(fd) == -1 && errno == EOPNOTSUPP, "a file with two numbers is refused");
    return -1;
}

// A number whose file had two is closed unseen, as by closedir, and comes again.
static int duplicate_before_unseen(int port, const char *more) {
    int stale = dup(0);
    expect(stale >= 0 && syscall(SYS_close, stale) == 0, "a number that is closed unseen");
    int fd = dial(port);
    expect(fd == stale, "the number comes again");
    expect(start(fd) == 0, "a socket that is new has one number");
    return fd;
}

static void *duplicate_it(void *fd) {
    return (void *)(long)dup(*(int *)fd);
}

// A thread is about to give the socket another number.
static int duplicate_meanwhile(int port, const char *more) {
    int fd = dial(port);
    pthread_t other;
    stop_at(SYS_dup, fd);
    expect(pthread_create(&other, NULL, duplicate_it, &fd) == 0, "a thread");
    wait_for_the_call();
    expect(start(fd) == -1 && errno == EOPNOTSUPP, "a file that is to have two numbers is refused");
    may_go_on = 1;
    expect(pthread_join(other, NULL) == 0, "a thread");
    return -1;
}

static int plain;

static void duplicate_plain(int signal) {
    expect(dup(plain) >= 0, "dup is for handlers too");
}

// A signal handler that interrupts a call on this connection gives another socket another number.
static void duplicate_in_a_handler(int fd, const char *port) {
    char byte;
    plain = dial(atoi(port));
    be_interrupted_once(duplicate_plain);
    expect(read(fd, &byte, 1) == -1 && errno == EINTR, "read");
    expect(start(plain) == -1 && errno == EOPNOTSUPP, "a file with two numbers is refused");
}

// Calls that are to make this number another file's, and that fail: it stays what it is.
static void number_that_stays(int fd, const char *more) {
    struct rlimit limit;
    expect(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    int past = limit.rlim_cur, epoll = epoll_create1(0);
    say_more(fd, "open");
    expect(dup2(past - 1, fd) == -1 && errno == EBADF, "dup2 of no file");
    expect(dup2(-1, fd) == -1 && errno == EBADF, "dup2 of no number");
    expect(dup3(past - 1, fd, 0) == -1 && errno == EBADF, "dup3 of no file");
    expect(dup3(epoll, fd, O_APPEND) == -1 && errno == EINVAL, "dup3 with another flag");
    expect(dup3(fd, fd, 0) == -1 && errno == EINVAL, "dup3 to itself");
    expect(dup2(fd, fd) == fd, "dup2 to itself");
    expect(dup2(fd, past) == -1 && errno == EBADF, "dup2 past the limit");
    expect(dup2(fd, -1) == -1 && errno == EBADF, "dup2 to no number");
    expect(fcntl(fd, F_DUPFD, past) == -1 && errno == EINVAL, "F_DUPFD past the limit");
    expect(fcntl(fd, F_DUPFD_CLOEXEC, past) == -1 && errno == EINVAL, "F_DUPFD past the limit");
    expect(close_range(3, ~0U, 0x40000000) == -1 && errno == EINVAL, "close_range with another flag");
    expect(close_range(3, ~0U, CLOSE_RANGE_UNSHARE) == -1 && errno == EINVAL, "numbers of one thread");
    say(fd, "ed");
    int other = dup(fd);
    struct rlimit low = {other + 1, limit.rlim_max};
    expect(setrlimit(RLIMIT_NOFILE, &low) == 0, "setrlimit");
    expect(dup2(fd, other) == -1 && errno == EMFILE, "a connection without another number for it");
    expect(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    say(other, "other");
    expect(close(other) == 0, "close");
}

// A connection's number becomes another file's, and another connection's: what waits is sent before the end.
static void number_that_changes(int fd, const char *port) {
    int third = dup(fd), pipe_ends[2];
    char text[8] = {0};
    int other = dial(atoi(port));
    expect(start(other) == 0, "another connection");
    say(other, "other");
    say_more(other, "open");
    expect(dup2(fd, other) == other, "dup2 of a connection to another");
    say(other, "again");
    expect(pipe(pipe_ends) == 0, "a pipe");
    expect(dup3(pipe_ends[1], third, 0) == third, "dup3 of a pipe to a connection");
    say(third, "piped");
    expect(read(pipe_ends[0], text, sizeof text) == 5 && !strcmp(text, "piped"), "it is the pipe's");
}

// Another socket has the number now, and is none of TLS.
static void is_another(int fd, const char *port) {
    int other = dial(atoi(port));
    expect(other == fd, "the number comes again");
    say(other, MARKER);
}

static void close_a_file(int fd, const char *port) {
    expect(fclose(fdopen(fd, "w")) == 0, "fclose");
    is_another(fd, port);
}

static void close_unseen(int fd, const char *port) {
    syscall(SYS_close, fd);
    is_another(fd, port);
}

// Each call that makes a number gives this one anew, for a file that takes eight bytes: none of them is sealed.
static void close_unseen_and_make(int fd, int (*make)(int file)) {
    char path[] = "/tmp/underseal-XXXXXX";
    int file = mkstemp(path);
    expect(file > fd && unlink(path) == 0, "a file");
    syscall(SYS_close, fd);
    expect(make(file) == fd, "the number comes again");
    expect(write(fd, "\1\0\0\0\0\0\0", 8) == 8, "write to what it is now");
}

static int by_dup(int file) { return dup(file); }
static int by_fcntl(int file) { return fcntl(file, F_DUPFD, 0); }
static int by_fcntl_cloexec(int file) { return fcntl(file, F_DUPFD_CLOEXEC, 0); }
static int by_creat(int file) { (void)file; return creat("/dev/null", 0600); }
static int by_eventfd(int file) { (void)file; return eventfd(0, 0); }
static int by_memfd_create(int file) { (void)file; return memfd_create("trap", 0); }
static int by_socketpair(int file) {
    int ends[2];
    (void)file;
    return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 ? ends[0] : -1;
}

static void dup_unseen(int fd, const char *port) { (void)port; close_unseen_and_make(fd, by_dup); }
static void fcntl_unseen(int fd, const char *port) { (void)port; close_unseen_and_make(fd, by_fcntl); }
static void cloexec_unseen(int fd, const char *port) { (void)port; close_unseen_and_make(fd, by_fcntl_cloexec); }
static void creat_unseen(int fd, const char *port) { (void)port; close_unseen_and_make(fd, by_creat); }
static void eventfd_unseen(int fd, const char *port) { (void)port; close_unseen_and_make(fd, by_eventfd); }
static void memfd_unseen(int fd, const char *port) { (void)port; close_unseen_and_make(fd, by_memfd_create); }
static void socketpair_unseen(int fd, const char *port) { (void)port; close_unseen_and_make(fd, by_socketpair); }

static void close_hidden_ones_unseen(int fd, const char *port) {
    expect(syscall(SYS_close_range, 1000, ~0U, 0) == 0, "numbers that it does not know");
    int other = dial(atoi(port));
    expect(start(other) == 0, "another connection");
    say(other, "other");
    expect(write(fd, MARKER, LEN) == -1 && errno == EBADF, "this one is gone");
    expect(close(fd) == 0, "close");
    say(other, "still");
}

// All numbers are closed, and so is the connection.
static void is_closed(int fd, const char *port) {
    expect(write(fd, MARKER, LEN) == -1 && errno == EBADF, "closed");
    int other = dial(atoi(port));
    say(other, MARKER);
}

static void close_a_range(int fd, const char *port) {
    expect(close_range(3, ~0U, 0) == 0, "close_range");
    is_closed(fd, port);
}

static void close_from(int fd, const char *port) {
    closefrom(3);
    is_closed(fd, port);
}

static void close_in_a_loop(int fd, const char *port) {
    for (int i = 3; i < 4000; i++) close(i);
    is_closed(fd, port);
}

const struct test numbers[] = {
    {"dup", .run = duplicate, .is_last = 1},
    {"dup-before", .connect = duplicate_before},
    {"dup-before-vfork", .connect = duplicate_before_vfork},
    {"dup-unseen", .connect = duplicate_before_unseen},
    {"dup-meanwhile", .connect = duplicate_meanwhile},
    {"dup-in-handler", .run = duplicate_in_a_handler},
    {"dup-fails", .run = number_that_stays},
    {"dup-to", .run = number_that_changes},
    {"fclose", .run = close_a_file, .is_last = 1},
    {"raw-close", .run = close_unseen, .is_last = 1},
    {"raw-close-dup", .run = dup_unseen, .is_last = 1},
    {"raw-close-fcntl", .run = fcntl_unseen, .is_last = 1},
    {"raw-close-cloexec", .run = cloexec_unseen, .is_last = 1},
    {"raw-close-creat", .run = creat_unseen, .is_last = 1},
    {"raw-close-eventfd", .run = eventfd_unseen, .is_last = 1},
    {"raw-close-memfd_create", .run = memfd_unseen, .is_last = 1},
    {"raw-close-socketpair", .run = socketpair_unseen, .is_last = 1},
    {"raw-close_range", .run = close_hidden_ones_unseen, .is_last = 1},
    {"close_range", .run = close_a_range, .is_last = 1},
    {"closefrom", .run = close_from, .is_last = 1},
    {"loop", .run = close_in_a_loop, .is_last = 1},
    {0},
};
