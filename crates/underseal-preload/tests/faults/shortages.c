// What a program may run out of, or is not allowed.
#include "tests.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>

// A process whose root is an empty directory, before it asks.
static int in_an_empty_root(int port, const char *place) {
    int fd = dial(port);
    expect(getuid() == 0 || syscall(SYS_unshare, CLONE_NEWUSER) == 0, "a user who may");
    expect(chroot(place) == 0 && chdir("/") == 0, "chroot");
    expect(start(fd) == 0, "TLS_TX");
    return fd;
}

// From here on neither call can be made.
static void forbid(int one, int other) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, one, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, other, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    expect(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

// What is held where there are threads goes out at once where there are none.
static void without_threads(int fd, const char *more) {
    forbid(SYS_clone, SYS_clone3);
    int file = memfd_create("file", 0);
    say(file, "file");
    for (int i = 0; i < 3; i++) {
        off_t offset = 0;
        say(fd, "head");
        expect(sendfile(fd, file, &offset, 4) == 4, "sendfile");
    }
    say(fd, "alone");
    for (int i = 0; i < 2; i++) {
        expect(send(fd, "open", 4, MSG_MORE) == 4, "what more follows");
    }
    tell("waits");
}

// Where a filter forbids close_range, numbers are closed one by one: also those above the limit, and in no more
// steps than there are numbers.
static void close_under_a_filter(int fd, const char *more) {
    struct rlimit low;
    expect(getrlimit(RLIMIT_NOFILE, &low) == 0, "getrlimit");
    int high = low.rlim_cur - 1;
    expect(dup2(0, high) == high, "a high number");
    low.rlim_cur = fd + 64;
    expect(setrlimit(RLIMIT_NOFILE, &low) == 0, "setrlimit");
    forbid(SYS_close_range, SYS_close_range);
    closefrom(fd + 1);
    expect(fcntl(high, F_GETFD) == -1 && errno == EBADF, "it is closed");
}

// From here on no memory can be had, but what there is. Returns what gives it back.
static void *use_up_memory(void) {
    struct rlimit none = {0, RLIM_INFINITY};
    expect(setrlimit(RLIMIT_DATA, &none) == 0, "RLIMIT_DATA");
    none.rlim_cur = 1;
    expect(setrlimit(RLIMIT_AS, &none) == 0, "RLIMIT_AS");
    void **last = NULL;
    for (size_t size = 1 << 16; size >= sizeof last; size /= 2) {
        for (void **more; (more = malloc(size)); last = more) *more = last;
    }
    return last;
}

static void give_back_memory(void **last) {
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    expect(setrlimit(RLIMIT_AS, &all) == 0 && setrlimit(RLIMIT_DATA, &all) == 0, "all of it");
    while (last) {
        void **next = *last;
        free(last);
        last = next;
    }
}

// A program that is out of memory is told so, and nothing that was taken is lost.
static void without_memory(int fd, const char *more) {
    static char much[1 << 20];
    for (size_t i = 0; i < sizeof much; i++) much[i] = "0123456789abcde"[i % 15];
    struct iovec halves[2] = {{much, sizeof much / 2}, {much + sizeof much / 2, sizeof much / 2}};
    int file = memfd_create("file", 0);
    int pipe_ends[2];
    expect(ftruncate(file, 100000) == 0 && pipe(pipe_ends) == 0, "a file and a pipe");
    say(pipe_ends[1], "piped");
    off_t offset = 0;
    struct pollfd many[64] = {{.fd = fd, .events = POLLOUT}};
    for (int i = 1; i < 64; i++) many[i].fd = -1;
    struct timeval now = {0};
    fd_set out;
    FD_ZERO(&out);
    FD_SET(fd, &out);
    void *last = use_up_memory();
    ssize_t sent = write(fd, much, sizeof much);
    int failed = errno;
    ssize_t file_sent = sendfile(fd, file, &offset, 100000);
    int file_failed = errno;
    ssize_t gathered = writev(fd, halves, 2);
    int gathered_failed = errno;
    ssize_t spliced = splice(pipe_ends[0], NULL, fd, NULL, 5, 0);
    int spliced_failed = errno;
    int polled = poll(many, 64, 0);
    int polled_failed = errno;
    int selected = select(fd + 1, NULL, &out, NULL, &now);
    int selected_failed = errno;
    give_back_memory(last);
    expect(sent > 0 || failed == ENOMEM, "write");
    expect(file_sent == -1 && file_failed == ENOMEM && offset == 0, "sendfile");
    expect(gathered > 0 || gathered_failed == ENOMEM, "writev");
    expect(spliced == -1 && spliced_failed == ENOMEM, "splice");
    expect(polled == 1 || polled_failed == ENOMEM, "poll");
    expect(selected == 1 || selected_failed == ENOMEM, "select");
    sent = (sent > 0 ? sent : 0) + (gathered > 0 ? gathered : 0);
    printf("%zd\n", sent);
}

// A read of what there is not needs no memory.
static void read_without_memory(int fd, const char *more) {
    struct keys keys = known_keys();
    char byte;
    expect(setsockopt(fd, SOL_TLS, RX, &keys, sizeof keys) == 0, "TLS_RX");
    nonblocking(fd, 1);
    void *last = use_up_memory();
    ssize_t got = read(fd, &byte, 1);
    int failed = errno;
    give_back_memory(last);
    nonblocking(fd, 0);
    expect(got == -1 && (failed == EAGAIN || failed == ENOMEM), "read");
}

// A call that would make a number of which nothing can be noted fails.
static int numbers_without_memory(int port, const char *more) {
    int fd = dial(port), high = 3000;
    struct rlimit limit;
    expect(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    expect(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    expect(close(dup(0)) == 0, "low numbers are noted");
    void *last = use_up_memory();
    int second = dup2(fd, high), second_failed = errno;
    int third = fcntl(fd, F_DUPFD, high), third_failed = errno;
    give_back_memory(last);
    expect(second == -1 && second_failed == ENOMEM, "dup2");
    expect(third == -1 && third_failed == ENOMEM, "F_DUPFD");
    expect(fcntl(high, F_GETFD) == -1 && errno == EBADF, "there is no other number");
    expect(start(fd) == 0, "TLS_TX");
    return fd;
}

// Many connections at once: each seals for itself, and leaves nothing behind.
static int many(int port, const char *more) {
    int count = atoi(more);
    int *fds = calloc(count, sizeof *fds);
    struct rlimit limit;
    expect(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    expect(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    int epoll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        fds[i] = dial(port);
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = i};
        expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0, "epoll_ctl");
        expect(start(fds[i]) == 0, "TLS_TX");
    }
    for (int i = 0; i < count; i++) {
        char text[16];
        sprintf(text, "number %d", i);
        say(fds[i], text);
    }
    tell("all");
    for (int told = 0; told < count;) {
        struct epoll_event events[64];
        int some = epoll_wait(epoll, events, 64, 10000);
        expect(some > 0, "each is told of");
        for (int i = 0; i < some; i++) {
            char byte;
            int fd = fds[events[i].data.u32];
            expect(read(fd, &byte, 1) == 1 && byte == 'x', "the right one");
        }
        told += some;
    }
    for (int i = 0; i < count; i++) expect(close(fds[i]) == 0, "close");
    int next = dup(0);
    expect(next < 16, "the numbers are free again");
    int hidden = fcntl(0, F_DUPFD, 1024);
    expect(hidden <= 1026, "and the hidden ones");
    return -1;
}

static void *shorten_file(void *file) {
    usleep(300000);
    expect(ftruncate(*(int *)file, 100000) == 0, "ftruncate");
    say_step("shorter");
    return NULL;
}

// A file gets shorter while it is sent: what is there of it goes, and is counted.
static void send_a_file_that_shrinks(int fd, const char *more) {
    static char block[1 << 20];
    pthread_t thread;
    int file = memfd_create("file", 0);
    off_t offset = 0;
    for (size_t i = 0; i < sizeof block; i++) block[i] = 'a' + i % 23;
    for (int i = 0; i < 64; i++) expect(write(file, block, sizeof block) == sizeof block, "a file");
    shorten(fd);
    expect(pthread_create(&thread, NULL, shorten_file, &file) == 0, "a thread");
    ssize_t sent = sendfile(fd, file, &offset, 64 << 20);
    expect(sent > 0 && sent < 64 << 20 && offset == sent, "a part of it");
    expect(sendfile(fd, file, &offset, 1000) == 0, "there is no more");
    expect(pthread_join(thread, NULL) == 0, "a thread");
    printf("%zd\n", sent);
    fflush(stdout);
}

const struct test shortages[] = {
    {"chroot", .connect = in_an_empty_root},
    {"no-threads", .run = without_threads},
    {"closefrom", .run = close_under_a_filter},
    {"no-memory", .run = without_memory},
    {"no-memory-to-read", .run = read_without_memory},
    {"no-memory-for-numbers", .connect = numbers_without_memory},
    {"many", .connect = many},
    {"shrinks", .run = send_a_file_that_shrinks},
    {0},
};
