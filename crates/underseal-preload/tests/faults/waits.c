// Calls that wait, and what ends a wait.
#include "tests.h"
#include "signals.h"

// Sends eight mebibytes, as programs do that go on where a signal has stopped them.
static void send_much(int fd, int is_interrupted) {
    static char much[8 << 20];
    for (size_t i = 0; i < sizeof much; i++) much[i] = "0123456789abcde"[i % 15];
    int stops = 0;
    for (size_t sent = 0; sent < sizeof much;) {
        ssize_t some = write(fd, much + sent, sizeof much - sent);
        if (some < 0) expect(errno == EINTR && is_interrupted, "a signal alone stops it");
        if (some < 0 || sent + some < sizeof much) stops++;
        if (some > 0) sent += some;
    }
    expect(is_interrupted ? stops > 0 : stops == 0, "it stops where it is to");
}

// The peer reads when so many signals have come that the call waits for it, also on a busy machine.
static void send_interrupted(int fd, int flags) {
    handle(SIGALRM, flags);
    beat(3);
    send_much(fd, !flags);
    beat(0);
}

static void interrupted(int fd, const char *more) {
    send_interrupted(fd, 0);
}

static void restarted(int fd, const char *more) {
    send_interrupted(fd, SA_RESTART);
}

// The peer never reads, and the one signal comes when a call waits for that. What it writes goes to the socket at once, and
// is no multiple of what that takes at a time: a part of it is taken then.
static void write_until_interrupted(int fd, void (*handler)(int)) {
    static char some[60001];
    ssize_t sent;
    shorten(fd);
    alarm(20);
    be_interrupted_once(handler);
    do sent = write(fd, some, sizeof some);
    while (sent == sizeof some);
    expect(sent >= 0 || errno == EINTR, "the signal stops it");
}

static void interrupted_once(int fd, const char *more) {
    write_until_interrupted(fd, count);
    expect(signals == 1, "it is the one");
    say_step("stopped");
    exit(0);
}

static void limit_waits(int fd, int milliseconds) {
    struct timeval time = {0, milliseconds * 1000};
    expect(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0, "SO_SNDTIMEO");
}

// The peer takes a little again and again, so that no single wait is long.
static void send_in_time(int fd, const char *more) {
    static char much[4 << 20];
    int stops = 0;
    memset(much, 'a', sizeof much);
    shorten(fd);
    limit_waits(fd, 100);
    for (size_t sent = 0; sent < sizeof much;) {
        ssize_t some = write(fd, much + sent, sizeof much - sent);
        expect(some > 0 || errno == EAGAIN, "the time alone stops it");
        if (some < 0 || sent + some < sizeof much) stops++;
        if (some > 0) sent += some;
    }
    expect(stops > 0, "the call's time is over");
    limit_waits(fd, 0);
}

static int written;
static volatile sig_atomic_t refusals;

static void write_twice(int signal) {
    for (int i = 0; i < 2; i++) refusals += write(written, "x", 1) == -1 && errno == EAGAIN;
}

static void used_by_a_handler(int fd, const char *more) {
    written = fd;
    write_until_interrupted(fd, write_twice);
    expect(refusals == 2, "the handler is refused again and again");
    say_step("stopped");
    exit(0);
}

// A signal ends a call that waits for the peer, and one that waits for readiness.
static void interrupted_waits(int fd, const char *more) {
    char byte;
    handle(SIGALRM, 0);
    beat(5);
    expect(read(fd, &byte, 1) == -1 && errno == EINTR, "read");
    expect(recv(fd, &byte, 1, MSG_WAITALL) == -1 && errno == EINTR, "recv");
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    expect(poll(&asked, 1, -1) == -1 && errno == EINTR, "poll");
    expect(ppoll(&asked, 1, NULL, NULL) == -1 && errno == EINTR, "ppoll");
    fd_set in;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    expect(select(fd + 1, &in, NULL, NULL, NULL) == -1 && errno == EINTR, "select");
    beat(0);
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    expect(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0 && raise(SIGALRM) == 0, "it is pending");
    expect(ppoll(&asked, 1, NULL, &none) == -1 && errno == EINTR, "ppoll lets it in");
    expect(raise(SIGALRM) == 0, "it is pending");
    expect(pselect(fd + 1, &in, NULL, NULL, NULL, &none) == -1 && errno == EINTR, "and pselect");
}

// The flag is the file's, whatever set it, and is looked at in every call.
static void toggled(int fd, const char *more) {
    static char much[1 << 20];
    char byte;
    int yes = 1, no = 0;
    expect(ioctl(fd, FIONBIO, &yes) == 0, "FIONBIO");
    expect(read(fd, &byte, 1) == -1 && errno == EAGAIN, "nothing is there");
    size_t sent = 0;
    for (ssize_t some; (some = write(fd, much, sizeof much)) > 0; sent += some) {}
    expect(errno == EAGAIN && fcntl(fd, F_GETFL) & O_NONBLOCK, "it is full");
    int other = dup(fd);
    expect(ioctl(other, FIONBIO, &no) == 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK), "of the file");
    tell("full");
    size_t rest = sizeof much - sent % sizeof much;
    expect(write(fd, much, rest) == (ssize_t)rest, "it waits now");
    nonblocking(fd, 1);
    expect(recv(other, &byte, 1, 0) == -1 && errno == EAGAIN, "nothing is there");
    nonblocking(fd, 0);
    printf("%zu\n", sent + rest);
    close(other);
}

static volatile pid_t poller;

static void *poll_it(void *fd) {
    struct pollfd asked = {.fd = *(int *)fd, .events = POLLIN};
    poller = gettid();
    return poll(&asked, 1, -1) == 1 && asked.revents == POLLIN ? fd : NULL;
}

// Another thread polls the socket already when it gets TLS.
static int polled_before(int port, const char *more) {
    static int fd;
    char byte;
    pthread_t thread;
    void *told;
    fd = dial(port);
    alarm(20);
    expect(pthread_create(&thread, NULL, poll_it, &fd) == 0, "a thread");
    while (!poller) usleep(1000);
    wait_until_asleep(poller);
    expect(start(fd) == 0, "TLS_TX");
    tell("moved");
    expect(pthread_join(thread, &told) == 0 && told, "it is readable, and no more");
    expect(read(fd, &byte, 1) == 1, "what the peer said");
    return fd;
}

// Arrays of poll and sets of select that cannot be written are errors, as addresses that cannot be read.
static void arrays_to_read(int fd, const char *more) {
    struct pollfd *asked = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    asked->fd = fd;
    asked->events = POLLOUT;
    expect(mprotect(asked, 4096, PROT_READ) == 0, "mprotect");
    expect(poll(asked, 1, 0) == -1 && errno == EFAULT, "poll");
    fd_set *set = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FD_SET(fd, set);
    expect(mprotect(set, 4096, PROT_READ) == 0, "mprotect");
    struct timeval now = {0};
    expect(select(fd + 1, NULL, set, NULL, &now) == -1 && errno == EFAULT, "select");
}

// What is left of select's time is written back, as Linux does.
static void time_that_is_left(int fd, const char *more) {
    fd_set in, out;
    struct timeval left = {0, 20000};
    FD_ZERO(&in);
    FD_SET(fd, &in);
    expect(select(fd + 1, &in, NULL, NULL, &left) == 0, "nothing comes");
    expect(left.tv_sec == 0 && left.tv_usec == 0, "no time is left");
    left.tv_sec = 1000;
    left.tv_usec = 0;
    FD_ZERO(&out);
    FD_SET(fd, &out);
    expect(select(fd + 1, NULL, &out, NULL, &left) == 1, "it can be written to");
    expect(left.tv_sec > 900 && left.tv_sec <= 1000, "most of it is left");
    left.tv_usec = -1;
    expect(select(fd + 1, NULL, &out, NULL, &left) == -1 && errno == EINVAL, "no time");
}

// Calls that few programs make.
static void rare_calls(int fd, const char *more) {
    struct iovec pieces[2] = {{"pw", 2}, {"ritev2", 6}};
    char byte;
    struct iovec one = {&byte, 1};
    expect(pwritev2(fd, pieces, 2, -1, 0) == 8, "pwritev2");
    expect(pwritev2(fd, pieces, 2, 5, 0) == -1 && errno == ESPIPE, "a socket has no offsets");
    expect(pwritev2(fd, pieces, 2, -1, 0x40000000) == -1 && errno == EOPNOTSUPP, "another flag");
    nonblocking(fd, 1);
    expect(preadv2(fd, &one, 1, -1, 0) == -1 && errno == EAGAIN, "preadv2");
    nonblocking(fd, 0);
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLOUT};
    struct timespec now = {0};
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    expect(epoll_pwait2(epoll, &event, 1, &now, NULL) == 1, "epoll_pwait2");
    errno = 77;
    char memory[8];
    FILE *stream = fmemopen(memory, sizeof memory, "w");
    expect(fclose(stream) == 0 && errno == 77, "fclose keeps errno");
    // The library's mark at the number is taken away, by a call that it does not see.
    struct pollfd ready = {fd, POLLOUT, 0};
    expect(syscall(SYS_fcntl, fd, F_SETSIG, SIGIO) == 0, "F_SETSIG");
    expect(poll(&ready, 1, 1000) == 1, "poll");
}

// More epoll instances than a program has as a rule.
static int watched_often(int port, const char *more) {
    int fd = dial(port), epolls[5];
    struct epoll_event event = {.events = EPOLLOUT};
    for (int i = 0; i < 5; i++) {
        epolls[i] = epoll_create1(0);
        event.data.u64 = i;
        expect(epoll_ctl(epolls[i], EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    }
    expect(start(fd) == 0, "TLS_TX");
    for (uint64_t i = 0; i < 5; i++) {
        expect(epoll_wait(epolls[i], &event, 1, 0) == 1 && event.data.u64 == i, "it is watched");
    }
    return fd;
}

const struct test waits[] = {
    {"interrupted", .run = interrupted},
    {"restarted", .run = restarted},
    {"interrupted-once", .run = interrupted_once},
    {"send-in-time", .run = send_in_time},
    {"used-by-a-handler", .run = used_by_a_handler},
    {"interrupted-waits", .run = interrupted_waits},
    {"toggled", .run = toggled},
    {"polled-before", .connect = polled_before},
    {"arrays", .run = arrays_to_read},
    {"time-left", .run = time_that_is_left},
    {"rare-calls", .run = rare_calls},
    {"watched-often", .connect = watched_often},
    {0},
};
