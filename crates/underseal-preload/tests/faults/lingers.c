// Connections whose last close is to wait until the peer has all of it (SO_LINGER).
#include "tests.h"
#include "signals.h"
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

// More waits for a full socket than it takes while its peer does not read.
static void fill_and_ask(int fd, int seconds) {
    static char block[16384];
    struct linger asked = {1, seconds};
    shorten(fd);
    fill(fd);
    for (int i = 0; i < 3; i++) expect(send_record(fd, 22, block, sizeof block) > 0, "a ticket is taken");
    alert(fd);
    expect(setsockopt(fd, SOL_SOCKET, SO_LINGER, &asked, sizeof asked) == 0, "SO_LINGER");
}

// Closes it in a way, and looks whether the socket is gone with that.
static void close_and_wait(int fd, const char *way) {
    int other = epoll_create1(0);
    fill_and_ask(fd, 1000);
    say_step("closing");
    if (!strcmp(way, "close")) expect(close(fd) == 0, "close");
    if (!strcmp(way, "dup2")) expect(dup2(other, fd) == fd, "dup2");
    if (!strcmp(way, "close_range")) expect(close_range(fd, fd, 0) == 0, "close_range");
    expect(hidden_number() == -1, "the peer has all of it");
}

static void *close_it(void *fd) {
    return (void *)(long)close(*(int *)fd);
}

// A thread waits in close: the number is free meanwhile.
static void close_and_wait_elsewhere(int fd, const char *more) {
    pthread_t closer;
    void *closed;
    fill_and_ask(fd, 1000);
    expect(pthread_create(&closer, NULL, close_it, &fd) == 0, "a thread");
    while (syscall(SYS_fcntl, fd, F_GETFD) != -1) usleep(1000);
    say_step("closing");
    expect(pthread_join(closer, &closed) == 0 && closed == NULL, "close");
    expect(hidden_number() == -1, "the peer has all of it");
}

// The peer takes nothing for as long as that; what is left goes out behind the close.
static void close_and_wait_in_vain(int fd, const char *more) {
    fill_and_ask(fd, 1);
    expect(close(fd) == 0, "close");
    expect(hidden_number() != -1, "it still goes out");
    tell_and_wait("closed");
}

// A signal comes. Nobody waits for the rest then, and least of all who sees to other connections.
static void close_and_be_interrupted(int fd, const char *port) {
    int other = dial_and_start(atoi(port)), hidden = hidden_number();
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    fill_and_ask(fd, 1000);
    handle(SIGALRM, SA_RESTART);
    beat(50);
    expect(close(fd) == 0 && signals > 0, "close");
    beat(0);
    say_step("closed");
    while (syscall(SYS_getsockname, hidden, &name, &len) == 0) usleep(1000);
    say_more(other, "open");
    tell_and_wait("gone");
}

static void *read_one(void *fd) {
    char byte;
    return (void *)(long)read(*(int *)fd, &byte, 1);
}

// The sending direction has an end that waits behind the rest, and a thread is in a call: the close waits for nobody.
static void close_behind_an_end(int fd, const char *seconds) {
    pthread_t reader;
    void *read = NULL;
    int same = fd;
    struct linger asked = {1, atoi(seconds)};
    fill_and_ask(fd, 1000);
    expect(setsockopt(fd, SOL_SOCKET, SO_LINGER, &asked, sizeof asked) == 0, "SO_LINGER");
    nonblocking(fd, 0);
    expect(pthread_create(&reader, NULL, read_one, &same) == 0, "a thread");
    usleep(200000);
    expect(shutdown(fd, SHUT_WR) == 0, "shutdown");
    expect(close(fd) == 0, "close");
    say_step("closed");
    expect(pthread_join(reader, &read) == 0 && read == (void *)1L, "the reader gets its byte");
}

// Who is asked before a thread of this process may send to a socket.
static int asked_first;
static pthread_t closer;
static volatile sig_atomic_t library_sends, closer_sends, closes, interrupts;

// Lets threads send: the library's own after a while, and the one that closes as it is, or with a signal for it.
static void *let_send(void *nothing) {
    struct seccomp_notif asked;
    for (;;) {
        memset(&asked, 0, sizeof asked);
        expect(ioctl(asked_first, SECCOMP_IOCTL_NOTIF_RECV, &asked) == 0, "NOTIF_RECV");
        struct seccomp_notif_resp answer = {.id = asked.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        if (asked.pid != (unsigned)getpid()) {
            library_sends = 1;
            usleep(200000);
        } else if (closes && ++closer_sends > 1 && interrupts) {
            interrupts = 0;
            pthread_kill(closer, SIGALRM);
            usleep(50000);
        }
        // Where a signal has come in between it asks once more.
        int sent = ioctl(asked_first, SECCOMP_IOCTL_NOTIF_SEND, &answer);
        expect(sent == 0 || errno == ENOENT, "NOTIF_SEND");
    }
    return NULL;
}

static void ask_before_sends(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendto, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    pthread_t other;
    closer = pthread_self();
    expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    asked_first = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    expect(asked_first >= 0, "seccomp");
    expect(pthread_create(&other, NULL, let_send, NULL) == 0, "a thread");
}

// The library's own thread is in the midst of a send; the close waits for it, and for the peer.
static void close_under_the_library(int fd, const char *more) {
    ask_before_sends();
    fill_and_ask(fd, 1000);
    while (!library_sends) usleep(1000);
    say_step("closing");
    expect(close(fd) == 0, "close");
    expect(hidden_number() == -1, "the peer has all of it");
}

// A signal comes while the close sends, and not while it waits.
static void close_and_be_interrupted_between(int fd, const char *more) {
    ask_before_sends();
    fill_and_ask(fd, 1000);
    handle(SIGALRM, SA_RESTART);
    interrupts = closes = 1;
    expect(close(fd) == 0 && signals == 1, "close");
    expect(hidden_number() != -1, "it still goes out");
    tell_and_wait("closed");
}

// The socket says that it has failed, as something is left to read of it, and takes nothing.
static void close_with_a_notification(int fd, const char *more) {
    int wanted = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    int hidden = hidden_number();
    ask_before_sends();
    expect(syscall(SYS_setsockopt, hidden, SOL_SOCKET, SO_TIMESTAMPING, &wanted, sizeof wanted) == 0,
           "SO_TIMESTAMPING");
    fill_and_ask(fd, 1);
    struct pollfd asked = {.fd = hidden};
    expect(syscall(SYS_ppoll, &asked, 1, NULL, NULL, 8) == 1 && asked.revents & POLLERR, "something is to be read");
    closes = 1;
    expect(close(fd) == 0, "close");
    expect(hidden_number() != -1, "it still goes out");
    expect(closer_sends < 100, "it does not send again and again");
    tell_and_wait("closed");
}

const struct test lingers[] = {
    {"lingers", .run = close_and_wait, .is_last = 1},
    {"lingers-elsewhere", .run = close_and_wait_elsewhere, .is_last = 1},
    {"lingers-in-vain", .run = close_and_wait_in_vain, .is_last = 1},
    {"lingers-until-a-signal", .run = close_and_be_interrupted, .is_last = 1},
    {"lingers-under-the-library", .run = close_under_the_library, .is_last = 1},
    {"lingers-but-for-a-signal-between", .run = close_and_be_interrupted_between, .is_last = 1},
    {"lingers-with-a-notification", .run = close_with_a_notification, .is_last = 1},
    {"lingers-behind-an-end", .run = close_behind_an_end, .is_last = 1},
    {0},
};
