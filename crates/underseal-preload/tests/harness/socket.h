// What the programs of these tests have in common: a socket with TLS whose keys they all know, and ways to say on it
// what a test looks for.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#define TX 1
#define RX 2

static void die(const char *what) {
    perror(what);
    exit(9);
}

static void expect(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "not so: %s (errno %d)\n", what, errno);
        exit(8);
    }
}

static int dial(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    return fd;
}

// TLS 1.3 with AES-128-GCM.
struct keys {
    uint16_t version, cipher;
    uint8_t iv[8], key[16], salt[4], seq[8];
};

static struct keys known_keys(void) {
    struct keys keys = {.version = 0x0304, .cipher = 51};
    memset(keys.key, 7, sizeof keys.key);
    return keys;
}

static int start(int fd) {
    struct keys keys = known_keys();
    expect(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4) == 0, "TCP_ULP");
    return setsockopt(fd, SOL_TLS, TX, &keys, sizeof keys);
}

static void say(int fd, const char *text) {
    expect(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "a write is taken");
}

// Says a part of a record.
static void say_more(int fd, const char *text) {
    ssize_t len = strlen(text);
    expect(send(fd, text, len, MSG_MORE) == len, "a part of a record is taken");
}

// Sends a record of another type than data. Returns what sendmsg does.
static ssize_t send_record_with(int fd, int type, const void *text, size_t len, int flags) {
    char control[CMSG_SPACE(1)] = {0};
    struct iovec iov = {(void *)text, len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_TLS;
    header->cmsg_type = 1;
    header->cmsg_len = CMSG_LEN(1);
    *CMSG_DATA(header) = type;
    return sendmsg(fd, &message, flags);
}

static ssize_t send_record(int fd, int type, const void *text, size_t len) {
    return send_record_with(fd, type, text, len, 0);
}

// Sends close_notify.
static void alert(int fd) {
    expect(send_record(fd, 21, (char[]){1, 0}, 2) == 2, "an alert is taken whole");
}

// What must not be seen.
#define MARKER "MARKER-of-plaintext"
#define LEN (sizeof MARKER - 1)

// Waits for a child that has to end well.
static void reap(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0) die("child");
}

static void nonblocking(int fd, int yes) {
    expect(fcntl(fd, F_SETFL, yes ? O_NONBLOCK : 0) == 0, "O_NONBLOCK");
}

static void shorten(int fd) {
    int small = 4096;
    expect(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0, "SO_SNDBUF");
}

// Writes zeros until the socket is full.
static void fill(int fd) {
    static char block[16384];
    nonblocking(fd, 1);
    while (write(fd, block, sizeof block) > 0) {}
    expect(errno == EAGAIN, "it is full");
}

// Whether a thread of this process waits for something. The library sees none of these calls.
static int is_asleep_now(pid_t thread) {
    char path[64], line[512] = {0}, *state;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    int file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
    expect(file >= 0 && syscall(SYS_read, file, line, sizeof line - 1) > 0, "a thread's state");
    syscall(SYS_close, file);
    state = strrchr(line, ')');
    return state && state[2] == 'S';
}

// Waits until it does, and still does a moment later.
static void wait_until_asleep(pid_t thread) {
    for (int looks = 0; looks < 5; looks = is_asleep_now(thread) ? looks + 1 : 0) usleep(10000);
}

static void *interrupt_once(void *thread) {
    pid_t waiting = *(pid_t *)thread;
    wait_until_asleep(waiting);
    expect(syscall(SYS_tgkill, getpid(), waiting, SIGUSR1) == 0, "a signal");
    return NULL;
}

// Has `handler` interrupt what this thread waits for next, once.
static void be_interrupted_once(void (*handler)(int)) {
    static pid_t this;
    struct sigaction action = {.sa_handler = handler};
    pthread_t other;
    this = gettid();
    expect(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    expect(pthread_create(&other, NULL, interrupt_once, &this) == 0, "a thread");
    expect(pthread_detach(other) == 0, "pthread_detach");
}

// The number of the TCP socket, which the program does not know.
static int hidden_number(void) {
    struct sockaddr_in name;
    for (int fd = 3; fd < 1 << 20; fd++) {
        socklen_t len = sizeof name;
        if (syscall(SYS_getsockname, fd, &name, &len) == 0 && name.sin_family == AF_INET) return fd;
    }
    return -1;
}

static void say_step(const char *step) {
    puts(step);
    fflush(stdout);
}

// Tells the peer, and waits until it lets this program go on.
static void tell(const char *step) {
    say_step(step);
    expect(getchar() == '\n', "the peer answers");
}

// Tells the peer, and waits until it has nothing more to say.
static void tell_and_wait(const char *step) {
    say_step(step);
    while (getchar() != EOF) {}
}
