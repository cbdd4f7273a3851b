// What the library asks of the system, answered by this program: the library finds the functions below before the C
// library's. Usage: program PORT CASE [MORE].
#include "socket.h"
#include <dirent.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <time.h>

// How many of the library's system calls may go on before one fails; nothing fails at 0. With which error, and which
// it was.
static volatile int to_go, error;
static volatile long failed = -1;

// An advice of madvise that fails each time.
static volatile long refused_advice = -1;

// Seconds that the clock is ahead.
static volatile time_t leap;

// Whether a call may fail for want of something. Others fail for a wrong argument alone, or tell what is there.
static int can_fail(long number, const long *arguments) {
    switch (number) {
    // With another error the connection is over.
    case SYS_sendto:
    case SYS_sendmsg:
        return error == ENOMEM || error == ENOBUFS;
    case SYS_socket:
    case SYS_dup:
    case SYS_dup3:
    case SYS_pipe2:
    case SYS_memfd_create:
    case SYS_mmap:
    case SYS_ftruncate:
    case SYS_getsockopt:
    case SYS_preadv:
    case SYS_ppoll:
    case SYS_tee:
    case SYS_process_vm_writev:
        return 1;
    case SYS_epoll_ctl:
        return arguments[1] == EPOLL_CTL_ADD;
    case SYS_fcntl:
        return arguments[1] == F_DUPFD_CLOEXEC || arguments[1] == F_GETFD || arguments[1] == F_SETSIG;
    case SYS_madvise:
        return arguments[2] == MADV_DONTFORK || arguments[2] == MADV_POPULATE_WRITE;
    }
    return 0;
}

long syscall(long number, ...) {
    static long (*next)(long, ...);
    long arguments[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) arguments[i] = va_arg(list, long);
    va_end(list);
    if (!next) next = dlsym(RTLD_NEXT, "syscall");
    int is_refused = number == SYS_madvise && arguments[2] == refused_advice;
    int is_next = to_go > 0 && can_fail(number, arguments) && __atomic_sub_fetch(&to_go, 1, __ATOMIC_SEQ_CST) == 0;
    if (is_refused || is_next) {
        failed = number;
        errno = is_refused ? EFAULT : error;
        return -1;
    }
    return next(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int done = syscall(SYS_clock_gettime, clock, time);
    time->tv_sec += leap;
    return done;
}

// Whether a call has done something. If not, it is one to make again.
static int has_done(ssize_t some) {
    static int failures;
    if (some >= 0) return 1;
    expect(errno == error, "it fails with the system's error");
    expect(++failures < 5, "not again and again");
    return 0;
}

static void put(int fd, const char *text, int flags) {
    for (size_t sent = 0, len = strlen(text); sent < len;) {
        ssize_t some = send(fd, text + sent, len - sent, flags);
        if (has_done(some)) sent += some;
    }
}

static void put_file(int fd, int file, off_t len) {
    for (off_t offset = 0; offset < len;) has_done(sendfile(fd, file, &offset, len - offset));
}

static void put_pieces(int fd, const char *text) {
    size_t len = strlen(text);
    for (size_t sent = 0; sent < len;) {
        size_t half = (len - sent + 1) / 2;
        struct iovec pieces[2] = {{(char *)text + sent, half}, {(char *)text + sent + half, len - sent - half}};
        ssize_t some = writev(fd, pieces, 2);
        if (has_done(some)) sent += some;
    }
}

static void put_pipe(int fd, int pipe_end, size_t len) {
    while (len > 0) {
        ssize_t some = splice(pipe_end, NULL, fd, NULL, len, 0);
        if (has_done(some)) len -= some;
    }
}

static int request(int fd) {
    struct keys keys = known_keys();
    if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4)) return -1;
    return setsockopt(fd, SOL_TLS, TX, &keys, sizeof keys);
}

static void expect_watched(int epoll) {
    struct epoll_event event;
    expect(epoll_wait(epoll, &event, 1, 10000) == 1 && event.data.u64 == 77, "it is watched");
}

// Does all that a program can do to a connection, of which one system call fails.
static void fail_once(int port, int number, int with) {
    int fd = dial(port), file = memfd_create("file", 0), epoll = epoll_create1(0), pipe_ends[2], other;
    struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 77};
    struct pollfd asked = {.fd = fd, .events = POLLOUT};
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    expect(pipe(pipe_ends) == 0, "a pipe");
    say(pipe_ends[1], "piped");
    say(file, "file");
    error = with;
    to_go = number;
    if (request(fd)) {
        expect(errno == error, "it is refused with the system's error");
        expect_watched(epoll);
        say(fd, "in plain words");
        printf("refused, %ld\n", failed);
        return;
    }
    expect_watched(epoll);
    put(fd, "first", 0);
    for (int i = 0; i < 3; i++) {
        put(fd, "head", 0);
        put_file(fd, file, 4);
    }
    put(fd, "alone", 0);
    while (!has_done(poll(&asked, 1, 10000))) {}
    put(fd, "more", MSG_MORE);
    put(fd, "less", 0);
    put_pieces(fd, "pieces");
    put_pipe(fd, pipe_ends[0], 5);
    while (!has_done(send_record(fd, 22, "ticket", 6))) {}
    while (!has_done(other = dup(fd))) {}
    put(other, "other", 0);
    expect(close(other) == 0, "close");
    put(fd, "last", 0);
    while (!has_done(send_record(fd, 21, (char[]){1, 0}, 2))) {}
    expect(shutdown(fd, SHUT_WR) == 0 && close(fd) == 0, "close");
    printf("%s, %ld\n", failed < 0 ? "none" : "sent", failed);
    fflush(stdout);
    while (getchar() != EOF) {}
}

// Leaves a connection to which something is still to be sent, whose peer takes nothing.
static void leave_full(int port) {
    int fd = dial(port);
    expect(start(fd) == 0, "TLS_TX");
    shorten(fd);
    fill(fd);
    // A peer with little room has taken all that it takes by now.
    usleep(20000);
    fill(fd);
    alert(fd);
    expect(close(fd) == 0, "close");
}

// The peer takes nothing for an hour.
static void wait_for_an_hour(int port) {
    leave_full(port);
    leap = 3600;
    usleep(300000);
    tell_and_wait("closed");
}

// More of these than there are numbers for them.
static void leave_many(int port, int count) {
    struct rlimit limit = {64, 64};
    expect(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    for (int i = 0; i < count; i++) leave_full(port);
    tell_and_wait("closed");
}

// Whether anything is in the list of connections.
static int is_listed(void) {
    char path[300], target[300];
    struct dirent *entry;
    DIR *directory = opendir("/proc/self/fd");
    while ((entry = readdir(directory))) {
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        ssize_t len = readlink(path, target, sizeof target - 1);
        target[len < 0 ? 0 : len] = 0;
        if (!strstr(target, "underseal-connections")) continue;
        FILE *list = fopen(path, "r");
        int byte;
        while ((byte = fgetc(list)) == 0) {}
        return byte != EOF;
    }
    expect(0, "there is a list");
}

// No memory can be had for the list.
static void without_a_list(int port) {
    refused_advice = MADV_POPULATE_WRITE;
    int fd = dial(port);
    expect(start(fd) == 0, "TLS_TX");
    expect(!is_listed(), "it is not listed");
    say(fd, "first");
    refused_advice = -1;
    int other = dial(port);
    expect(start(other) == 0, "TLS_TX");
    expect(is_listed(), "the next one is");
}

int main(int argc, char **argv) {
    int port = atoi(argv[1]);
    const char *what = argv[2];
    if (!strcmp(what, "fails")) fail_once(port, atoi(argv[3]), atoi(argv[4]));
    else if (!strcmp(what, "hour")) wait_for_an_hour(port);
    else if (!strcmp(what, "many")) leave_many(port, atoi(argv[3]));
    else if (!strcmp(what, "list")) without_a_list(port);
    else return 2;
    return 0;
}
