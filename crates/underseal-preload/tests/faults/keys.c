// Keys in a process that came by fork while other threads were in calls on the connection.
#include "tests.h"
#include <malloc.h>

// A key that is nowhere as it is but in the library. The compiler does not know the first byte.
static volatile unsigned char first = 0x51;

static unsigned char byte_of_key(int i) {
    return first + 29 * i + (i * i << 3);
}

static void set_keys(int fd, int direction) {
    struct keys keys = {.version = 0x0304, .cipher = 51};
    for (size_t i = 0; i < sizeof keys.key; i++) keys.key[i] = byte_of_key(i);
    expect(setsockopt(fd, SOL_TLS, direction, &keys, sizeof keys) == 0, "keys");
    explicit_bzero(&keys, sizeof keys);
}

static int is_key(const unsigned char *at) {
    for (int i = 0; i < 16; i++) {
        if (at[i] != byte_of_key(i)) return 0;
    }
    return 1;
}

// How often it is in this process' memory.
static int copies(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512], mode[5];
    unsigned long start, end;
    int found = 0;
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) != 3 || strcmp(mode, "rw-p")) continue;
        for (; start + 16 <= end; start++) found += is_key((unsigned char *)start);
    }
    fclose(maps);
    return found;
}

static void *write_for_ever(void *fd) {
    static char much[8 << 20];
    write(*(int *)fd, much, sizeof much);
    return NULL;
}

static void *read_for_ever(void *fd) {
    char byte;
    read(*(int *)fd, &byte, 1);
    return NULL;
}

// A connection on which one thread is in the midst of a write, and another waits for a record.
static int dial_and_call(int port) {
    static int fd;
    pthread_t reader, writer;
    fd = dial(port);
    shorten(fd);
    expect(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4) == 0, "TCP_ULP");
    set_keys(fd, TX);
    set_keys(fd, RX);
    expect(pthread_create(&reader, NULL, read_for_ever, &fd) == 0, "a thread");
    expect(pthread_create(&writer, NULL, write_for_ever, &fd) == 0, "a thread");
    return fd;
}

// Their number may be closed under the threads, or the C library not see the fork.
static int forked_under_calls(int port, const char *way) {
    int fd = dial_and_call(port);
    usleep(200000);
    if (!strcmp(way, "closed")) expect(close(fd) == 0, "close");
    expect(copies() >= 2, "it is in this process");
    pid_t child = strcmp(way, "unseen") ? fork() : syscall(SYS_fork);
    if (child == 0) {
        alarm(20);
        if (!strcmp(way, "unseen")) expect(write(fd, "x", 1) == -1 && errno == EBADFD, "the first call");
        _exit(copies());
    }
    int status;
    expect(waitpid(child, &status, 0) == child && WIFEXITED(status), "the child ends");
    printf("%d copies\n", WEXITSTATUS(status));
    exit(0);
}

// Says how often the key is in a child.
static void fork_here(int sent) {
    int status;
    signal(SIGALRM, SIG_DFL);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(copies());
    }
    expect(waitpid(child, &status, 0) == child && WIFEXITED(status), "the child ends");
    printf("%d copies\n", WEXITSTATUS(status));
    exit(0);
}

// A signal handler forks in the midst of a call on a connection, while other threads are in calls on another.
static int forked_by_a_handler(int port, const char *more) {
    static char much[8 << 20];
    int other = dial_and_start(port);
    dial_and_call(port);
    signal(SIGALRM, fork_here);
    alarm(1);
    for (;;) write(other, much, sizeof much);
}

// Connections that are closed leave nothing that a child would look at.
static int forked_behind_connections(int port, const char *more) {
    int fds[20];
    mallopt(M_PERTURB, 0x55);
    // More than the C library keeps as they were.
    for (int i = 0; i < 20; i++) fds[i] = dial_and_start(port);
    for (int i = 0; i < 20; i++) expect(close(dup(fds[i])) == 0 && close(fds[i]) == 0, "close");
    pid_t child = fork();
    if (child == 0) {
        expect(write(dial_and_start(port), "child", 5) == 5, "a connection of its own");
        _exit(0);
    }
    reap(child);
    return -1;
}

const struct test keys[] = {
    {"forked-behind-connections", .connect = forked_behind_connections},
    {"forked-by-a-handler", .connect = forked_by_a_handler},
    {"forked-under-calls", .connect = forked_under_calls},
    {0},
};
